"""Shape and spacing of a case from its headers alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.orientations import io_orientation

from ...data.check.file import UnusableError, readable
from ...data.check.geometry import numbers
from ...data.check.nifti import read_geometry
from ...data.integrity import refusal
from ...data.nifti import is_nifti
from ...errors import DataError
from ..recipe import Recipe
from .cases import Case, require_known
from .dicom import find_series
from .images import FAR
from .pictures import stack_spacing


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is read."""

    shape: tuple[int, int, int]
    """(z, y, x), in the order in which `images.read` gives them."""
    spacing: tuple[float, float, float]
    """mm, (z, y, x)."""
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
        require_known(path, recipe)
        if recipe.reader in ("flat", "tiff"):
            return _picture(case, recipe)
        if is_nifti(path) and not recipe.uses_itk:
            return _nibabel(path, recipe, channels)
        return _itk(path, recipe, channels)
    except UnusableError as error:
        raise refusal(path, error.kind, error.text) from error
    except DataError:
        raise
    except Exception as error:  # each reader has its own for headers that it cannot make sense of
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> DataError:
    """What is wrong with a header, in the words of the check where it knows better than the reader."""
    said = (str(error).strip() or type(error).__name__).splitlines()[-1]
    if not is_nifti(path):
        return refusal(path, "not-an-image", f"No header is found: {said}")
    try:
        read_geometry(path)
    except UnusableError as better:
        return refusal(path, better.kind, better.text)
    except Exception as other:  # no header at all can be made of these bytes
        return refusal(path, "damaged", f"Its header cannot be read: {other}")
    return refusal(path, "reader-refuses", f"The reader says: {said}")


def _turned(shape: Any, spacing: Any, affine: Any, channels: int, size: int) -> Header:
    """A header in (z, y, x) from the file's (x, y[, z]); with an affine turned to RAS."""
    edges = np.abs(np.array(spacing[: len(shape)], np.float64))
    if not (np.isfinite(edges).all() and edges.all()):
        raise UnusableError("spacing-invalid", f"The spacing is {numbers(edges.tolist())} mm.")
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
    if recipe.turns and len(reader.GetSize()) == 3:
        turn = np.diag([-1.0, -1.0, 1.0])
        affine = np.eye(4)
        affine[:3, :3] = turn @ np.array(reader.GetDirection()).reshape(3, 3) * np.array(reader.GetSpacing())
    return _turned(reader.GetSize(), reader.GetSpacing(), affine, channels, size)


def _nibabel(path: Path, recipe: Recipe, channels: int) -> Header:
    image = nibabel.load(path)
    affine = image.affine if recipe.turns else None
    return _turned(image.shape, image.header.get_zooms(), affine, channels, image.get_data_dtype().itemsize)


def _picture(case: Case, recipe: Recipe) -> Header:
    path, channels = case.files[0], len(recipe.channels)
    if recipe.reader == "flat":
        from PIL import Image

        with Image.open(path) as picture:
            width, height = picture.size
        return Header((1, height, width), (FAR, 1.0, 1.0), channels)
    import tifffile

    with tifffile.TiffFile(path) as file:
        shape, size = file.series[0].shape, file.series[0].dtype.itemsize
    if len(shape) != 3:
        raise UnusableError("dimensions", f"Has the shape {numbers(shape)}; this model takes stacks of slices.")
    return Header(shape, stack_spacing(case, recipe, []), channels, size)
