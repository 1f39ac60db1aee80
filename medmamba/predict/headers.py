"""Shape and spacing of a case from its headers alone."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.orientations import io_orientation

from ..data.check.file import UnusableError, readable
from ..data.integrity import refusal
from ..data.nifti import is_nifti
from .cases import Case
from .dicom import find_series
from .images import FAR
from .recipe import Recipe


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is read."""

    shape: tuple[int, int, int]
    """(z, y, x), in the order in which `images.read` gives them."""
    spacing: tuple[float, float, float]
    """mm, (z, y, x). Of TIFF stacks always 1: theirs lies in another file."""
    channels: int
    voxel_bytes: int = 4
    """Bytes of one stored voxel: while a channel is read, it is in memory so and as float32."""


def probe(case: Case, recipe: Recipe) -> Header:
    """The header of a case's first channel; no voxel is read.

    Raises DataError where the file is plainly no image. What else is wrong comes out when the image is read.
    """
    path, channels = case.files[0], len(recipe.channels)
    if case.kind == "dicom":
        series = find_series(path)
        return _turned(series.shape, series.spacing, None, channels, 2)
    try:
        with readable(path):
            pass
        if recipe.reader in ("flat", "tiff"):
            return _picture(path, recipe, channels)
        if is_nifti(path) and recipe.reader != "itk":
            return _nibabel(path, recipe, channels)
        return _itk(path, recipe, channels)
    except UnusableError as error:
        raise refusal(path, error.kind, error.text) from error
    except (RuntimeError, OSError, ValueError, KeyError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
        said = str(error).strip().splitlines()
        raise refusal(path, "not-an-image", f"No header is found: {said[-1] if said else error!r}") from error


def _turned(shape: Any, spacing: Any, affine: Any, channels: int, size: int) -> Header:
    """A header in (z, y, x) from the file's (x, y[, z]); with an affine turned to RAS."""
    edges = np.abs(np.array(spacing[: len(shape)], np.float64))
    if len(shape) == 2:
        return Header((1, shape[1], shape[0]), (float(edges.max()) * FAR, edges[1], edges[0]), channels, size)
    if len(shape) != 3:
        raise UnusableError("four-axes", f"Has {len(shape)} axes.")
    order = [0, 1, 2]
    if affine is not None:
        turn = io_orientation(affine)
        order = [int(np.flatnonzero(turn[:, 0] == axis)[0]) for axis in range(3)]
    x, y, z = (int(shape[axis]) for axis in order)
    return Header((z, y, x), tuple(float(edges[axis]) for axis in reversed(order)), channels, size)  # type: ignore[arg-type]


def _itk(path: Path, recipe: Recipe, channels: int) -> Header:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = sitk.Image([1, 1], reader.GetPixelID()).GetSizeOfPixelComponent() * reader.GetNumberOfComponents()
    affine = None
    if recipe.reader == "nibabel-ras" and len(reader.GetSize()) == 3:
        turn = np.diag([-1.0, -1.0, 1.0])
        affine = np.eye(4)
        affine[:3, :3] = turn @ np.array(reader.GetDirection()).reshape(3, 3) * np.array(reader.GetSpacing())
    return _turned(reader.GetSize(), reader.GetSpacing(), affine, channels, size)


def _nibabel(path: Path, recipe: Recipe, channels: int) -> Header:
    image = nibabel.load(path)
    affine = image.affine if recipe.reader == "nibabel-ras" else None
    return _turned(image.shape, image.header.get_zooms(), affine, channels, image.get_data_dtype().itemsize)


def _picture(path: Path, recipe: Recipe, channels: int) -> Header:
    if recipe.reader == "flat":
        from PIL import Image

        with Image.open(path) as picture:
            width, height = picture.size
        return Header((1, height, width), (FAR, 1.0, 1.0), channels)
    import tifffile

    with tifffile.TiffFile(path) as file:
        shape, size = file.series[0].shape, file.series[0].dtype.itemsize
    if len(shape) != 3:
        raise UnusableError("dimensions", f"Has the shape {shape}; this model takes stacks of slices.")
    return Header(shape, (1.0, 1.0, 1.0), channels, math.ceil(size))
