"""Where an affine alignment may begin: shifts by the headers or the contents, and turns of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..grid import Grid
from ..transforms.transform import Affine
from .metric import Image, Pair, shrinks

Init = Literal["none", "header", "center", "moments"]
INITS: tuple[Init, ...] = ("none", "header", "center", "moments")

_TURN = np.deg2rad(15)
_KEPT = 2
"""Starts that are optimised; the others look worse already."""


def _shift(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return matrix


def _centre_of_mass(image: Image, mask: Image | None) -> NDArray[np.float64]:
    weight = np.asarray(image.data, np.float64)
    weight = weight - weight.min()
    if mask is not None and image.grid.same_as(mask.grid):
        weight = weight * (mask.data > 0)
    total = weight.sum()
    if total <= 0:
        return image.grid.centre
    axes = [weight.sum(tuple(a for a in range(3) if a != axis)) @ np.arange(weight.shape[axis]) for axis in range(3)]
    return image.grid.world(np.array(axes) / total)[0]


def _turns(centre: NDArray[np.float64]) -> list[tuple[str, NDArray[np.float64]]]:
    """Rotations by 15 degrees about each axis, both ways, around `centre` (RAS mm)."""
    turns = []
    for axis, sign in product(range(3), (1, -1)):
        rotation = np.eye(4)
        a, b = (k for k in range(3) if k != axis)
        rotation[a, a] = rotation[b, b] = np.cos(_TURN)
        rotation[a, b], rotation[b, a] = -sign * np.sin(_TURN), sign * np.sin(_TURN)
        turns.append((f" {'+' if sign > 0 else '-'}15 deg {'RAS'[axis]}", _shift(centre) @ rotation @ _shift(-centre)))
    return turns


def starts(fixed: Image, moving: Image, masks: Sequence[Image | None], init: Init | None) -> dict[str, Affine]:
    """The shifts that a registration may begin with, by name."""
    ways = {
        "header": lambda: np.zeros(3),
        "center": lambda: moving.grid.centre - fixed.grid.centre,
        "moments": lambda: _centre_of_mass(moving, masks[1]) - _centre_of_mass(fixed, masks[0]),
    }
    names = ways if init is None else ["header" if init == "none" else init]
    return {name: Affine(_shift(ways[name]())) for name in names}


def _coarse(image: Any, factor: int) -> Any:
    smooth = sitk.SmoothingRecursiveGaussian(image, [factor / 2 * s for s in image.GetSpacing()])
    return sitk.Shrink(smooth, [factor] * 3)


def candidates(pair: Pair, beginnings: dict[str, Affine]) -> list[tuple[str, Affine]]:
    """The starts and their rotations that look best at low resolution, best first; the best unturned one always."""
    factor = shrinks(Grid.of(pair.fixed).shape)[0]
    fixed, moving = (_coarse(image, factor) for image in (pair.fixed, pair.moving))
    coarse = replace(pair, fixed=fixed, moving=moving, fixed_mask=None, moving_mask=None)
    centre = Grid.of(pair.fixed).centre
    found = []
    for name, start in beginnings.items():
        turned = [(name + turn, Affine(start.matrix @ matrix)) for turn, matrix in _turns(centre)]
        found += [(coarse.value(map_), name_, map_) for name_, map_ in [(name, start), *turned]]
    found.sort(key=lambda entry: entry[0])
    plain = next(entry for entry in found if entry[1] in beginnings)
    kept = found[:_KEPT] if plain in found[:_KEPT] else [*found[: _KEPT - 1], plain]
    return [(name, map_) for _, name, map_ in kept]
