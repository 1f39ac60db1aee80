"""One volume of voxels as a file or a DICOM series stores them, refused where it cannot be trusted."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ... import runtime
from ...data.check import nifti
from ...data.check.file import UnusableError
from ...data.check.findings import KINDS
from ...data.check.geometry import Geometry as Grid
from ...data.check.geometry import from_lps
from ...data.check.image import read_itk
from ...data.integrity import reading
from ...data.nifti import is_nifti
from ..recipe import Reader
from .dicom import find_series, read_series

_MOST_DEFLATED = 1032
"""Bytes that one byte of a compressed file can at most become."""
_TWO_SPACINGS = 0.01
"""Share by which pixdim and sform may differ; nnU-Net takes pixdim then, and so do we, with a word."""


@dataclass(frozen=True)
class Volume:
    """One channel."""

    voxels: NDArray[Any]
    """([z,] y, x), of the type in which they are stored."""
    scale: tuple[float, float] | None
    """Slope and intercept to apply to them."""
    grid: Grid
    """Axes in the file's order, (x, y[, z])."""
    zooms: tuple[float, ...]
    """mm, (x, y[, z]), as the model's reader tells them."""
    affine: NDArray[np.float64]
    """(4, 4): index (x, y, z) to millimetres to the right, anterior, superior."""
    warnings: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    """Files of a DICOM series, along z."""


def load(path: Path, reader: Reader, dicom: bool = False) -> Volume:
    """Read a volume to its end. Raises DataError, naming the file, where it cannot be used.

    reader: of the model; NIfTI is read as it reads it, other formats as ITK does. dicom: `path` is a series' folder.
    """
    sitk.ProcessObject.GlobalWarningDisplayOff()  # what ITK warns of on the terminal is judged here
    if dicom:
        return _series(path)
    with reading(path):
        if is_nifti(path):
            return _nifti(path, "itk" if reader.startswith("itk") else "nibabel")
        return _itk(path)


def affine_of(grid: Grid) -> NDArray[np.float64]:
    """(4, 4) of a grid; one of two axes lies in the plane z = 0."""
    count = len(grid.shape)
    affine = np.eye(4)
    affine[:count, :count] = grid.matrix
    affine[:count, 3] = grid.origin
    return affine


def _nifti(path: Path, reader: nifti.Reader) -> Volume:
    stored = nifti.read(path, reader)
    warnings = []
    for kind, text in stored.faults:
        if kind == "spacing-disagrees" and _close(path):
            warnings.append(f"{path}: {text}")
        elif KINDS[kind].severity == "error":
            raise UnusableError(kind, text)
        else:
            warnings.append(f"{path}: {KINDS[kind].title.lower()}. {text}")
    voxels = stored.voxels.reshape(stored.shape[::-1])
    grid = stored.geometry
    if reader == "itk":
        grid = grid or nifti.as_itk(path, stored.shape)
        return Volume(voxels, stored.scale, grid, grid.spacing, affine_of(grid), tuple(warnings))
    image = nibabel.load(path)
    zooms = tuple(float(size) for size in image.header.get_zooms()[:3])
    affine = np.array(image.affine, np.float64)
    return Volume(voxels, stored.scale, grid or grid_of(stored.shape, zooms, affine), zooms, affine, tuple(warnings))


def _close(path: Path) -> bool:
    """Whether pixdim and the affine differ little enough to go on with."""
    header = nibabel.load(path).header
    lengths = np.linalg.norm(header.get_best_affine()[:3, :3], axis=0)
    return bool(np.allclose(lengths, header["pixdim"][1:4], _TWO_SPACINGS))


def grid_of(shape: tuple[int, ...], zooms: tuple[float, ...], affine: NDArray[np.float64]) -> Grid:
    """The grid (x, y, z) of an affine whose axes have the lengths `zooms`, up to rounding."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return Grid(shape, zooms, tuple(affine[:3, 3].tolist()), tuple(map(tuple, axes.tolist())))


def _itk(path: Path) -> Volume:
    wanted = _promised(path)
    try:
        voxels, grid, _ = read_itk(path)
    except UnusableError as error:
        if error.kind != "damaged":
            raise
        size = path.stat().st_size
        text = f"Its {wanted} bytes of voxels cannot be read from a file of {size}: truncated, or damaged inside."
        raise UnusableError("damaged", text) from error
    return Volume(voxels, None, grid, grid.spacing, affine_of(grid))


def _promised(path: Path) -> int:
    """Bytes of voxels by the header. What neither the file nor the memory can hold is refused before it is believed."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return 0  # refused when it is read, in its own words
    wanted = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    wanted *= sitk.Image([1, 1], reader.GetPixelID()).GetSizeOfPixelComponent()
    size, detached = path.stat().st_size, path.suffix.lower() in (".mhd", ".nhdr")
    if not detached and wanted > size * _MOST_DEFLATED:
        raise UnusableError("truncated", f"The header promises {wanted} bytes, the file has {size}.")
    if (memory := runtime.free_memory()) is not None and wanted > memory:
        raise UnusableError("crash", f"It needs {wanted / 2**30:.1f} GiB, {memory / 2**30:.1f} are free.")
    return wanted


def _series(folder: Path) -> Volume:
    series = find_series(folder)
    image = read_series(series)
    grid = from_lps(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return Volume(
        sitk.GetArrayFromImage(image), None, grid, grid.spacing, affine_of(grid), series.warnings, series.files
    )
