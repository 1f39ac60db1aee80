"""Two label files read as small numbers on one grid, or refused in a sentence."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..data.check import nifti
from ..data.check.file import UnusableError, readable
from ..data.check.findings import KINDS
from ..data.check.geometry import Geometry, describe, difference, numbers
from ..data.check.image import FLAT, TIFF, photograph, read_itk, stack
from ..data.integrity import reading
from ..data.nifti import is_nifti
from ..dicom.reading import read_segmentation
from ..errors import DataError

SPACING = 1e-3
"""Share by which two spacings may differ: surface distances and volumes are wrong by as much."""
SEGMENTATION = ".dcm"
"""Ending of DICOM segmentations."""
_UNNAMED = re.compile(r"label (\d{1,5})")
"""What a segment is called that stands for a value without a name."""
_AT_ONCE = 2**22
_SHOWN = 5


def read_pair(
    prediction: Path, reference: Path, declared: Sequence[int], names: Mapping[str, int] | None = None
) -> tuple[NDArray[Any], NDArray[Any], tuple[float, ...]]:
    """(prediction, reference, spacing): both as places in `declared`, ([z,] y, x), 8 or 16 bits; spacing alike, mm.

    Pictures have a spacing of 1, so that distances are pixels. Raises DataError, naming the file, where one is absent,
    damaged, no label map or has values that are not in `declared`, and where the two do not lie on one grid.

    A prediction may be a DICOM segmentation (.dcm), which leaves empty slices out: it is put onto the reference's grid
    where its voxels are some of that grid's. Its segments have the values that `names` gives theirs, or, where it knows
    none of them, their numbers.
    """
    if prediction.name.lower().endswith(SEGMENTATION):
        truth, there = read_labels(reference, declared)
        return _unpacked(prediction, there, declared, names or {}), truth, tuple(reversed(there.spacing))
    predicted, where = read_labels(prediction, declared)
    truth, there = read_labels(reference, declared)
    if where.shape != there.shape:
        raise DataError(
            f"{prediction} has {numbers(where.shape)} voxels, {reference} {numbers(there.shape)}.",
            "Predict from the image that the reference was drawn on; nothing is resampled here.",
        )
    apart = difference(there, where)
    if apart.real or not np.allclose(where.spacing, there.spacing, rtol=SPACING, atol=0):
        raise DataError(
            f"{prediction} and {reference} do not lie on one grid: {describe(there, where)}.",
            "Find out which header is right, or resample one onto the other.",
        )
    return predicted, truth, tuple(reversed(there.spacing))


def _unpacked(path: Path, grid: Geometry, declared: Sequence[int], names: Mapping[str, int]) -> NDArray[Any]:
    """A DICOM segmentation as places in `declared` on a grid. DataError where it does not lie on it."""
    if len(grid.shape) != 3:
        raise DataError(f"{path} is of a volume, and the reference has {len(grid.shape)} axes.", "Is it this case's?")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = grid.matrix, grid.origin
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and to the back
    x, y, z = grid.shape
    found = read_segmentation(path)
    try:
        labels = found.on_grid((z, y, x), turn @ affine)
    except DataError as error:
        raise DataError(f"{path}: its voxels do not lie on one grid with the reference's.", error.remedy) from error
    return _places(_valued(labels, found.names, names, path), None, declared, path)


def _valued(labels: NDArray[Any], segments: Mapping[int, str], names: Mapping[str, int], path: Path) -> NDArray[Any]:
    """Label values in place of segment numbers, which are others where only some labels were written."""
    known = {number: names[name] for number, name in segments.items() if name in names}
    known |= {number: int(match[1]) for number, name in segments.items() if (match := _UNNAMED.fullmatch(name))}
    if not known:
        return labels
    if strange := [name for number, name in segments.items() if number not in known]:
        raise DataError(
            f"{path} has the segment {strange[0]!r}, which the dataset does not declare.", "Is it of this dataset?"
        )
    table = np.zeros(max(segments) + 1, np.int64)
    table[list(known)] = list(known.values())
    return table[labels]


def read_labels(path: Path, declared: Sequence[int]) -> tuple[NDArray[Any], Geometry]:
    """A label file as places in `declared` (ascending), and its grid. Raises DataError that names the file."""
    sitk.ProcessObject.GlobalWarningDisplayOff()  # what ITK warns of on the terminal is judged here
    with reading(path):
        voxels, scale, grid = _stored(path)
    return _places(voxels, scale, declared, path), grid


def _stored(path: Path) -> tuple[NDArray[Any], tuple[float, float] | None, Geometry]:
    """Voxels ([z,] y, x) as they are stored, slope and intercept, and the grid."""
    name = path.name.lower()
    if is_nifti(path):
        stored = nifti.read(path)
        for kind, text in stored.faults:
            if KINDS[kind].severity == "error" and kind != "spacing-disagrees":
                raise UnusableError(kind, text)
        grid = stored.geometry or nifti.as_itk(path, stored.shape)
        return stored.voxels.reshape(stored.shape[::-1]), stored.scale, grid
    if name.endswith((*FLAT, *TIFF)):
        with readable(path):
            pass
        pixels = stack(path) if name.endswith(TIFF) else photograph(path)
        return pixels, None, _plain(pixels, path)
    voxels, grid, _ = read_itk(path)
    return voxels, None, grid


def _plain(pixels: NDArray[Any], path: Path) -> Geometry:
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4)):
        raise UnusableError("dimensions", f"Has the shape {numbers(pixels.shape)}; labels have one number a pixel.")
    count = pixels.ndim
    axes = tuple(tuple(float(row == column) for column in range(count)) for row in range(count))
    return Geometry(pixels.shape[::-1], (1.0,) * count, (0.0,) * count, axes)


def _places(
    voxels: NDArray[Any], scale: tuple[float, float] | None, declared: Sequence[int], path: Path
) -> NDArray[Any]:
    """Each voxel's place in `declared`, a slab at a time. DataError for other values."""
    known = np.array(declared, np.int64)
    flat = voxels.reshape(-1)
    places = np.empty(flat.size, np.uint8 if len(known) <= 256 else np.uint16)
    strange: set[float] = set()
    for first in range(0, flat.size, _AT_ONCE):
        part = flat[first : first + _AT_ONCE]
        if scale is not None:
            part = part * scale[0] + scale[1]
        found = np.minimum(np.searchsorted(known, part), len(known) - 1)
        if (other := known[found] != part).any():
            strange.update(np.unique(part[other])[: _SHOWN + 1].tolist())
        places[first : first + _AT_ONCE] = found
    if strange:
        shown = ", ".join(f"{value:g}" for value in sorted(strange)[:_SHOWN]) + ", ..." * (len(strange) > _SHOWN)
        allowed = ", ".join(map(str, declared[:12])) + ", ..." * (len(declared) > 12)
        raise DataError(
            f"{path} holds {shown}, which the dataset does not declare ({allowed}).",
            "Is it a label map of this dataset? `medmamba predict --raw-labels` writes other values.",
        )
    return places.reshape(voxels.shape)
