"""Images as nnU-Net's reader of the model hands them on, and what is needed to write a label map into their place."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from ..data.check.file import UnusableError, readable
from ..data.check.geometry import TOLERANCE, describe, difference, numbers
from ..data.check.image import photograph, stack
from ..data.integrity import refusal
from ..errors import DataError
from . import volumes
from .cases import Case, ending_of, require_channels
from .recipe import Recipe
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
    if recipe.reader in ("flat", "tiff"):
        return _read_pictures(case, recipe)
    require_channels(case, recipe)
    first: Volume | None = None
    data = np.empty(0, np.float32)
    warnings: list[str] = []
    for channel, path in enumerate(case.files):
        volume = volumes.load(path, recipe.reader, case.kind == "dicom")
        voxels, spacing, geometry = _placed(path, volume, recipe)
        if first is None:
            first, kept = volume, (spacing, geometry)
            data = _empty((len(case.files), *voxels.shape), path)
        else:
            _compare(case.files[0], first, path, volume, warnings)
        low, high = _fill(data[channel], voxels, volume.scale, recipe.reader == "itk", path)
        warnings += volume.warnings
        warnings += _of_values(path, recipe.channels[channel], low, high)
        first = Volume(voxels[:0], None, first.grid, first.zooms, first.affine)  # the voxels are not kept
        del volume, voxels
    return Image(data, kept[0], kept[1], tuple(warnings))


def _placed(path: Path, volume: Volume, recipe: Recipe) -> tuple[NDArray[Any], tuple[float, float, float], Geometry]:
    """Voxels (z, y, x), spacing and geometry, in the order in which the model's reader gives them."""
    voxels, zooms, grid = volume.voxels, np.abs(volume.zooms), volume.grid
    if voxels.ndim == 2 and (len(recipe.patch_size) == 3 or recipe.reader != "itk"):
        raise refusal(path, "dimensions", f"Is a 2-D image ({numbers(grid.shape)}); this model takes volumes.")
    flip = np.array([-1.0, -1.0, 1.0][: len(grid.shape)])
    origin, direction = flip * grid.origin + 0.0, (flip[:, None] * np.array(grid.direction)).ravel() + 0.0
    itk = (tuple(volume.zooms), tuple(origin.tolist()), tuple(direction.tolist()))
    affine = tuple(map(tuple, volume.affine.tolist()))
    writer: Literal["itk", "nibabel"] = "itk" if recipe.reader == "itk" or not volumes.nifti_name(path) else "nibabel"
    if voxels.ndim == 2:
        return (
            voxels[None],
            (float(zooms.max()) * FAR, float(zooms[1]), float(zooms[0])),
            Geometry(writer, *itk, affine),
        )
    if recipe.reader != "nibabel-ras":
        return voxels, (float(zooms[2]), float(zooms[1]), float(zooms[0])), Geometry(writer, *itk, affine)
    turn = io_orientation(volume.affine)
    voxels = apply_orientation(voxels.T, turn).T
    if (turn != [[0, 1], [1, 1], [2, 1]]).any():
        lengths = np.linalg.norm(volume.affine[:3, :3], axis=0).astype(np.float32)  # nibabel puts them into a header
        zooms = np.array([lengths[turn[:, 0] == axis][0] for axis in range(3)], np.float64)
    pairs = tuple((int(axis), int(sign)) for axis, sign in turn)
    return voxels, (float(zooms[2]), float(zooms[1]), float(zooms[0])), Geometry(writer, *itk, affine, pairs)


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
        what = "NaN" if np.isnan(low) else "infinite or too large for 32 bits"
        raise refusal(path, "not-finite", f"{count} voxel(s) are not finite: {what}.")
    return float(low), float(high)


def _compare(reference: Path, first: Volume, path: Path, other: Volume, warnings: list[str]) -> None:
    """Refuse a channel of another shape, or at another place, than the first; tell of one that is off by rounding."""
    if first.grid.shape != other.grid.shape:
        text = f"Has {numbers(other.grid.shape)} voxels, {reference.name} {numbers(first.grid.shape)}."
        raise refusal(path, "channel-shape", text)
    apart = difference(first.grid, other.grid)
    if not apart.noted:
        return
    text = (
        f"Differs from {reference.name} in {describe(first.grid, other.grid)}: up to {apart.voxels:.3g} voxel edges "
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


def _read_pictures(case: Case, recipe: Recipe) -> Image:
    parts: list[NDArray[Any]] = []
    for path in case.files:
        pixels = _picture(path) if recipe.reader == "flat" else _stack_of(path)
        if parts and pixels.shape[1:] != parts[0].shape[1:]:
            sizes = f"Has {numbers(pixels.shape[:0:-1])}, {case.files[0].name} {numbers(parts[0].shape[:0:-1])}."
            raise refusal(path, "channel-shape", sizes)
        parts.append(pixels)
    if (given := sum(map(len, parts))) != (wanted := len(recipe.channels)):
        lacks = f"lacks {wanted - given} channel(s)" if given < wanted else f"has {given - wanted} channel(s) too many"
        raise DataError(
            f"Case {case.name} {lacks}: {', '.join(map(str, case.files))} hold(s) {given}.",
            f"The model takes {wanted}: {', '.join(recipe.channels)}. A colour picture holds 3, with transparency 4.",
        )
    data = _empty((given, *parts[0].shape[1:]), case.files[0])
    warnings: list[str] = []
    names = [path for path, part in zip(case.files, parts, strict=True) for _ in part]
    for target, channel, path in zip(data, (channel for part in parts for channel in part), names, strict=True):
        warnings += _of_values(path, "", *_fill(target, channel, None, False, path))
    spacing = (FAR, 1.0, 1.0) if recipe.reader == "flat" else _stack_spacing(case, recipe, warnings)
    return Image(data, spacing, Geometry("flat" if recipe.reader == "flat" else "tiff", spacing), tuple(warnings))


def _pixels(path: Path, flat: bool) -> NDArray[Any]:
    """The array in a picture file; DataError where there is none."""
    try:
        with readable(path):
            pass
        return photograph(path) if flat else stack(path)
    except UnusableError as error:
        raise refusal(path, error.kind, error.text) from error
    except Exception as error:  # each plug-in of these readers has its own
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise refusal(path, "truncated" if "truncated" in text else "damaged", f"The reader says: {text}") from error


def _picture(path: Path) -> NDArray[Any]:
    """(colours, 1, y, x)."""
    pixels = _pixels(path, flat=True)
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        return pixels.transpose(2, 0, 1)[:, None]
    if pixels.ndim != 2:
        raise refusal(
            path, "dimensions", f"Has the shape {numbers(pixels.shape)}; a picture has two axes, and colours."
        )
    return pixels[None, None]


def _stack_of(path: Path) -> NDArray[Any]:
    """(1, z, y, x)."""
    pixels = _pixels(path, flat=False)
    if pixels.ndim != 3:
        raise refusal(path, "dimensions", f"Has the shape {numbers(pixels.shape)}; this model takes stacks of slices.")
    return pixels[None]


def _stack_spacing(case: Case, recipe: Recipe, warnings: list[str]) -> tuple[float, float, float]:
    """mm, (z, y, x), from the .json file beside a stack, named like it without channel number."""
    path = case.files[0]
    stem = path.name[: -len(ending_of(path, recipe)) or None]
    beside = path.with_name(f"{stem[:-5] if case.numbers and stem[-5:-4] == '_' else stem}.json")
    if not beside.is_file():
        warnings.append(f"{path}: no {beside.name} with its spacing; taken for 1 x 1 x 1 mm.")
        return 1.0, 1.0, 1.0
    try:
        given: Sequence[Any] = json.loads(beside.read_text(encoding="utf-8"))["spacing"]
        z, y, x = map(float, given)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{beside} gives no spacing.", 'Write {"spacing": [z, y, x]} in mm.') from error
    if not all(0 < size < np.inf for size in (z, y, x)):
        raise DataError(f"{beside} gives the spacing {numbers((z, y, x))} mm.", "Write the true one, in mm.")
    return z, y, x
