"""Images as nnU-Net's reader of the model hands them on, and what is needed to write a label map into their place."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from ...data.check.geometry import TOLERANCE, describe, difference, numbers
from ...data.check.geometry import Geometry as Grid
from ...data.integrity import refusal
from ...data.nifti import is_nifti
from ...errors import DataError
from ..recipe import Recipe
from . import volumes
from .cases import Case, require_channels, require_known
from .pictures import read_pictures, stack_spacing
from .volumes import Volume

FAR = 999.0
"""nnU-Net's distance between slices of a 2-D image, in units of its largest pixel edge."""


@dataclass(frozen=True)
class Geometry:
    """Where a label map of an image has to be put. Plain values only."""

    writer: Literal["itk", "nibabel", "flat", "tiff"]
    """The way of nnU-Net's that writes it."""
    spacing: tuple[float, ...]
    """mm, (x, y[, z]) as stored in the file; stacks: (z, y, x)."""
    origin: tuple[float, ...] = ()
    """ITK's: mm to the left, posterior, superior."""
    direction: tuple[float, ...] = ()
    """ITK's, flat."""
    affine: tuple[tuple[float, ...], ...] = ()
    """nibabel's, of the voxels as stored."""
    turn: tuple[tuple[int, int], ...] | None = None
    """For each axis (x, y, z) as stored, the patient axis and sign that it was turned to for RAS. None: it was not."""
    slices: tuple[str, ...] = ()
    """Files of the DICOM series, along z as stored."""


@dataclass(frozen=True)
class Image:
    """One case."""

    data: NDArray[np.float32]
    """(channels, z, y, x)."""
    spacing: tuple[float, float, float]
    """mm, (z, y, x)."""
    geometry: Geometry
    warnings: tuple[str, ...] = ()
    """What the user should look at, a sentence each."""


def read(case: Case, recipe: Recipe) -> Image:
    """The image of a case, equal to what nnU-Net's reader of this model gives.

    Channels are read one after another into one array. Raises DataError, which names the file and what to do, for
    whatever nnU-Net fails on or would take for something else: damaged and mistaken files, NaN, channels of several
    shapes or more than 0.1 voxel edges apart, a picture for a model of volumes.
    """
    for path in case.files:
        require_known(path, recipe)
    if recipe.reader in ("flat", "tiff"):
        return _of_pictures(case, recipe)
    require_channels(case, recipe)
    image: Image | None = None
    warnings: list[str] = []
    for channel, path in enumerate(case.files):
        volume = volumes.load(path, recipe.reader, case.kind == "dicom")
        placed = _placed(path, volume, recipe)
        if image is None:
            data = _empty((len(case.files), *placed.voxels.shape), path)
            image, grid = Image(data, placed.spacing, placed.geometry), placed.grid
        else:
            _compare(case.files[0], grid, path, placed.grid, warnings)
        low, high = _fill(image.data[channel], placed.voxels, volume.scale, recipe.uses_itk, path)
        warnings += [*volume.warnings, *_of_values(path, recipe.channels[channel], low, high)]
        del volume, placed  # the next channel finds room
    assert image is not None  # a model has a channel, and the case has all of them
    return replace(image, warnings=tuple(warnings))


@dataclass(frozen=True)
class _Placed:
    """A channel in the order of axes in which the model's reader gives it."""

    voxels: NDArray[Any]
    """(z, y, x)."""
    spacing: tuple[float, float, float]
    geometry: Geometry
    grid: Grid


def _placed(path: Path, volume: Volume, recipe: Recipe) -> _Placed:
    voxels, zooms, grid = volume.voxels, np.abs(volume.zooms), volume.grid
    if flat := voxels.ndim == 2:
        if len(recipe.patch_size) == 3 or recipe.reader != "itk":
            raise refusal(path, "dimensions", f"Is a 2-D image ({numbers(grid.shape)}); this model takes volumes.")
        voxels, zooms = voxels[None], np.append(zooms, zooms.max() * FAR)
    geometry = _geometry(volume, "itk" if recipe.uses_itk or not is_nifti(path) else "nibabel")
    if recipe.turns and not flat:
        turn = io_orientation(volume.affine)
        voxels = apply_orientation(voxels.T, turn).T
        affine = volume.affine @ inv_ornt_aff(turn, grid.shape)
        if recipe.uses_itk:
            zooms = zooms[turn[:, 0].argsort()]
        elif (turn != [[0, 1], [1, 1], [2, 1]]).any():
            zooms = np.linalg.norm(affine[:3, :3], axis=0).astype(np.float32)  # as nibabel puts them into a header
        grid = volumes.grid_of(voxels.shape[::-1], tuple(zooms.tolist()), affine)
        geometry = replace(geometry, turn=tuple((int(axis), int(sign)) for axis, sign in turn))
    return _Placed(voxels, (float(zooms[2]), float(zooms[1]), float(zooms[0])), geometry, grid)


def _geometry(volume: Volume, writer: Literal["itk", "nibabel"]) -> Geometry:
    grid = volume.grid
    flip = np.array([-1.0, -1.0, 1.0][: len(grid.shape)])
    origin, direction = flip * grid.origin + 0.0, (flip[:, None] * np.array(grid.direction)).ravel() + 0.0
    affine = tuple(map(tuple, volume.affine.tolist()))
    return Geometry(
        writer, grid.spacing, tuple(origin.tolist()), tuple(direction.tolist()), affine, slices=volume.slices
    )


def _empty(shape: tuple[int, ...], path: Path) -> NDArray[np.float32]:
    try:
        return np.empty(shape, np.float32)
    except MemoryError as error:
        raise refusal(path, "crash", f"{numbers(shape)} numbers do not fit into the memory.") from error


def _fill(
    target: NDArray[np.float32], voxels: NDArray[Any], scale: tuple[float, float] | None, itk: bool, path: Path
) -> tuple[float, float]:
    """Write scaled voxels into `target`, row by row, and return the smallest and the largest; NaN is refused.

    ITK scales what is stored in other types than float64 after rounding it to float32, nibabel rounds at the end.
    """
    low, high = np.inf, -np.inf
    for row, part in zip(target, voxels, strict=True):
        if scale is not None:
            part = part.astype(np.float32) if itk and part.dtype != np.float64 else part
            part = part.astype(np.float64) * scale[0] + scale[1]
        with np.errstate(over="ignore", invalid="ignore"):
            row[...] = part
            low, high = np.minimum(low, row.min()), np.maximum(high, row.max())  # NaN stays NaN in both
    if not (np.isfinite(low) and np.isfinite(high)):
        count = target.size - int(sum(np.isfinite(row).sum() for row in target))
        stored = voxels.dtype.kind != "f" or np.isfinite(voxels).all()
        what = "too large for 32 bits" if stored else "NaN" if np.isnan(low) else "infinite"
        raise refusal(path, "not-finite", f"{count} voxel(s) are not finite: {what}.")
    return float(low), float(high)


def _compare(reference: Path, first: Grid, path: Path, other: Grid, warnings: list[str]) -> None:
    """Refuse a channel of another shape, or at another place, than the first; tell of one that is off by rounding."""
    if first.shape != other.shape:
        text = f"Has {numbers(other.shape)} voxels, {reference.name} {numbers(first.shape)}."
        raise refusal(path, "channel-shape", text)
    apart = difference(first, other)
    if not apart.noted:
        return
    text = (
        f"Differs from {reference.name} in {describe(first, other)}: up to {apart.voxels:.3g} voxel edges "
        f"({apart.millimetres:.3g} mm) apart; {TOLERANCE} are allowed."
    )
    if apart.real:
        problem = f"{path} cannot be used: channels at different places. {text}"
        raise DataError(problem, "Resample the channels onto one grid, or export them again.")
    warnings.append(f"{path}: {text}")


def _of_values(path: Path, channel: str, low: float, high: float) -> list[str]:
    if low == high:
        return [f"{path}: every voxel is {low:g}. Is it the right file?"]
    if channel.casefold() == "ct" and low >= 0:
        return [f"{path}: a CT with values from {low:g} to {high:g}, where air is -1000 HU. Is the intercept applied?"]
    return []


def _of_pictures(case: Case, recipe: Recipe) -> Image:
    """Pictures and stacks, which have no place in the patient; a colour picture holds several channels."""
    flat = recipe.reader == "flat"
    warnings: list[str] = []
    spacing = (FAR, 1.0, 1.0) if flat else stack_spacing(case, recipe, warnings)
    parts = read_pictures(case, recipe)
    wanted = [(path, channel) for path, part in parts for channel in part]
    data = _empty((len(wanted), *wanted[0][1].shape), case.files[0])
    for target, (path, pixels) in zip(data, wanted, strict=True):
        warnings += _of_values(path, "", *_fill(target, pixels, None, False, path))
    return Image(data, spacing, Geometry("flat" if flat else "tiff", spacing), tuple(warnings))
