"""The way back of a transform, and how good it is."""

import numpy as np
import torch
from numpy.typing import NDArray

from ..deform.fields import invert
from .transform import Affine, Field, Transform


def inverted(transform: Transform) -> Transform:
    """The inverse, its parts in reverse order: affine maps exactly, fields by fixed-point iteration on their own grid.

    A folded field has no inverse: look at `residual`.
    """
    return Transform(tuple(_inverse(part) for part in reversed(transform.parts)))


def residual(transform: Transform, inverse: Transform, start: NDArray[np.float64]) -> tuple[float, float]:
    """How far points (N, 3) are from their start after the inverse and then the transform: mean, 95th percentile, mm.

    start: RAS mm, points that the inverse takes. Those that leave the grid of a field on the way are not counted.
    """
    there = inverse.points(start)
    kept = inverse.covers(start) & transform.covers(there)
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
