"""A pair of images and what belongs to it, read and looked at: bad pairs are refused, odd ones told of."""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError
from ..grid import Grid
from ..images import Volume, onto, read_image, read_labels, read_mask
from ..intensity import Scheme, is_constant, scheme_of
from ..points import Points, read_points
from ..transforms.files import read
from ..transforms.transform import Affine
from .options import Inputs, Options, require_pairs

_FEWEST = 4
"""Voxels along an axis, below which nothing can be registered along it."""


@dataclass(frozen=True, eq=False)
class Side:
    """One image with its scaling and what lies in its space."""

    image: Volume
    scheme: Scheme
    labels: Volume | None = None
    """On their own grid."""
    mask: Volume | None = None
    """uint8 on the image's grid."""
    points: Points | None = None

    @property
    def scaled(self) -> Volume:
        """The image as float32 in 0..1."""
        return replace(self.image, data=self.scheme.scaled(self.image.data))


@dataclass(frozen=True, eq=False)
class Pair:
    """What is registered."""

    fixed: Side
    moving: Side
    start: Affine | None
    """Where registration begins, of --init-transform."""
    labels: tuple[int, ...]
    """Values that both segmentations have, background left out."""
    same: bool
    """Fixed and moving are one image."""
    warnings: tuple[str, ...]


def read_pair(fixed: Path, moving: Path, inputs: Inputs, options: Options) -> Pair:
    """Read a pair and check it.

    Raises ConfigError and DataError, a sentence each, for files that cannot be read or are no volumes, for images in
    which nothing is to be seen, for masks, segmentations and points that do not belong to them, and for images that
    no start brings together.
    """
    require_pairs(inputs, options)
    warnings: list[str] = []
    sides = [
        _side(path, modality, (seg, mask, points), warnings)
        for path, modality, seg, mask, points in (
            (fixed, options.fixed_modality, inputs.fixed_seg, inputs.fixed_mask, inputs.fixed_points),
            (moving, options.moving_modality, inputs.moving_seg, inputs.moving_mask, inputs.moving_points),
        )
    ]
    start = None if inputs.init_transform is None else _read_start(inputs.init_transform)
    same = _is_same(*(side.image for side in sides))
    if same:
        warnings.append("Fixed and moving are the same image: the transform can be no more than the identity.")
    if not _meet(sides[0].image.grid, sides[1].image.grid, start):
        _require_other_start(options, inputs.init_transform)
        warnings.append("By their headers the two images do not overlap: only a start from their middles can help.")
    return Pair(sides[0], sides[1], start, _common_labels(sides, inputs), same, tuple(warnings))


def _side(path: Path, modality: str, beside: tuple[Path | None, Path | None, Path | None], warnings: list[str]) -> Side:
    image = read_image(path)
    warnings += image.warnings
    for axis, size in zip("xyz", image.grid.shape, strict=True):
        if size < _FEWEST:
            slices = "one slice" if size == 1 else f"{size} slices"
            problem = f"{path} has {slices} along {axis}; registration is of volumes."
            raise DataError(problem, f"Give a volume of at least {_FEWEST} voxels along each axis.")
    scheme = scheme_of(image.data, modality)  # type: ignore[arg-type]
    if is_constant(image.data, scheme):
        value = float(image.data.flat[0])
        lacks = f"{value:g} everywhere" if image.data.min() == image.data.max() else f"empty as {scheme.modality}"
        raise DataError(f"{path} is {lacks}: there is nothing to register.", "Is it the right file, and modality?")
    seg, mask, points = beside
    labels = None if seg is None else _labels(seg, image, warnings)
    inside = None if mask is None else _mask(mask, image, warnings)
    marks = None if points is None else _points(points, image, warnings)
    return Side(image, scheme, labels, inside, marks)


def _labels(path: Path, image: Volume, warnings: list[str]) -> Volume:
    labels = read_labels(path)
    warnings += labels.warnings
    if not labels.data.any():
        raise DataError(f"{path} has no label but the background.", "Give a segmentation of the image.")
    if not labels.grid.same_as(image.grid):
        warnings.append(f"{path} is not on the grid of {image.path}: it is placed by its header.")
        if not onto(labels, image.grid, "nearest", 0).any():
            problem = f"None of the labels of {path} lies inside {image.path}."
            raise DataError(problem, "Is it the segmentation of this image?")
    return labels


def _mask(path: Path, image: Volume, warnings: list[str]) -> Volume:
    mask = read_mask(path)
    warnings += mask.warnings
    inside = mask.data != 0
    if not mask.grid.same_as(image.grid):
        warnings.append(f"{path} is not on the grid of {image.path}: it is resampled.")
        inside = onto(mask, image.grid, "nearest", 0) != 0
        if not inside.any():
            raise DataError(f"The mask {path} lies outside of {image.path}.", "Is it the mask of this image?")
    return Volume(inside.astype(np.uint8), image.grid, path)


def _points(path: Path, image: Volume, warnings: list[str]) -> Points:
    points = read_points(path, "lps", image.grid)
    outside = int((~image.grid.inside(points.ras)).sum())
    if outside == len(points.ras):
        problem = f"All {outside} points of {path} lie outside of {image.path}."
        raise DataError(problem, "A table holds mm along left, posterior, superior (LPS), as ITK and ANTs write.")
    if outside:
        warnings.append(f"{outside} of {len(points.ras)} points of {path} lie outside of {image.path}.")
    return points


def _read_start(path: Path) -> Affine:
    matrix = np.eye(4)
    for part in read(path).parts:
        if not isinstance(part, Affine):
            problem = f"{path} holds a displacement field; a start is linear."
            raise ConfigError(problem, "Give an affine: affine.tfm of an earlier result, or ANTs' *GenericAffine.mat.")
        matrix = part.matrix @ matrix
    return Affine(matrix)


def _is_same(fixed: Volume, moving: Volume) -> bool:
    return fixed.grid.same_as(moving.grid) and np.array_equal(fixed.data, moving.data)


def _meet(fixed: Grid, moving: Grid, start: Affine | None) -> bool:
    """Whether a voxel of the fixed grid, of some thousands spread over it, lies inside the moving one."""
    axes = [np.linspace(0, size - 1, min(size, 24)) for size in fixed.shape]
    index: NDArray[np.float64] = np.array(list(product(*axes)))
    points = fixed.world(index)
    return bool(moving.inside(points if start is None else start.points(points)).any())


def _require_other_start(options: Options, init_transform: Path | None) -> None:
    if init_transform is not None:
        problem = f"From {init_transform} the two images do not overlap."
        raise ConfigError(problem, "It has to map points of the fixed image to the moving one, not back.")
    if options.affine == "none" or options.init in ("none", "header"):
        option = "--affine none" if options.affine == "none" else f"--init {options.init}"
        problem = f"The two images do not overlap by their headers, and {option} leaves them there."
        raise ConfigError(problem, "Leave the option away, or use --init center.")


def _common_labels(sides: list[Side], inputs: Inputs) -> tuple[int, ...]:
    fixed, moving = (side.labels for side in sides)
    if fixed is not None and moving is not None:
        common = np.intersect1d(np.unique(fixed.data), np.unique(moving.data))
        values = tuple(int(value) for value in common if value)
        if not values:
            problem = f"{inputs.fixed_seg} and {inputs.moving_seg} have no label in common."
            raise DataError(problem, "Both need the same numbers for the same structures.")
    else:
        values = ()
    first, second = (side.points for side in sides)
    if first is not None and second is not None and len(first.ras) != len(second.ras):
        problem = f"{inputs.fixed_points} has {len(first.ras)} points, {inputs.moving_points} {len(second.ras)}."
        raise DataError(problem, "The same landmark has to stand in the same line of both.")
    return values
