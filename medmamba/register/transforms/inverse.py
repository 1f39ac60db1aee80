"""The way back of a transform, and how good it is."""

import numpy as np
import torch

from ..deform.fields import invert
from ..grid import Grid
from .transform import Affine, Field, Transform

_LOOKED_AT = 200_000
"""Voxels that a residual is measured on; more tell the same."""


def inverted(transform: Transform) -> Transform:
    """The inverse, its parts in reverse order: affine maps exactly, fields by fixed-point iteration on their own grid.

    A folded field has no inverse: look at `residual`.
    """
    return Transform(tuple(_inverse(part) for part in reversed(transform.parts)))


def residual(transform: Transform, inverse: Transform, grid: Grid) -> tuple[float, float]:
    """How far a point is from its start after the inverse and then the transform: mean and 95th percentile, mm.

    Over voxels of `grid`, whose points the inverse takes, that go to and come from places within all fields.
    """
    step = max(1, round((np.prod(grid.shape) / _LOOKED_AT) ** (1 / 3)))
    axes = [np.arange(0, size, step) for size in grid.shape]
    start = grid.world(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))
    there = inverse.points(start)
    kept = _within(inverse, start) & _within(transform, there)
    if not kept.any():
        return 0.0, 0.0
    apart = np.linalg.norm(transform.points(there[kept]) - start[kept], axis=1)
    return float(apart.mean()), float(np.percentile(apart, 95))


def _inverse(part: Affine | Field) -> Affine | Field:
    if isinstance(part, Affine):
        return part.inverse()
    forward = torch.from_numpy(part.displacement).movedim(-1, 0)[None].contiguous()
    with torch.inference_mode():
        back = invert(forward)[0].movedim(0, -1).contiguous().numpy()
    return Field(back, part.grid)


def _within(transform: Transform, points: np.ndarray) -> np.ndarray:
    """(N,): whether points lie in the grid of each field when they meet it."""
    inside = np.ones(len(points), bool)
    for part in transform.parts:
        if isinstance(part, Field):
            inside &= part.grid.inside(points)
        points = part.points(points)
    return inside
