"""One file of a dataset, read by whichever way its ending asks for and summarised; runs in a worker process."""

import logging
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from . import nifti as check_nifti
from .file import UnusableError, readable
from .geometry import Geometry, from_lps, numbers
from .values import Values, summarise

Role = Literal["image", "label"]
NIFTI = (".nii.gz", ".nii")
ITK = (".nrrd", ".mha", ".gipl")
FLAT = (".png", ".bmp")
TIFF = (".tif", ".tiff")
ENDINGS = (*NIFTI, *ITK, *FLAT, *TIFF)
"""What nnU-Net has a reader for."""
_SMALLEST, _LARGEST = 0.01, 50.0
"""mm. Outside a voxel size is implausible for medical images; 999 is nnU-Net's own for stacks."""
_STACK = 999.0
_SIGNS: dict[str, tuple[bytes, ...]] = {".png": (b"\x89PNG\r\n\x1a\n",), ".bmp": (b"BM",)}
_SIGNS.update(dict.fromkeys(TIFF, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")))
"""How a file of each ending begins."""


@dataclass(frozen=True)
class Examined:
    """What is known of one file."""

    path: Path
    faults: tuple[tuple[str, str], ...]
    """(kind, text) of what is wrong with the file by itself."""
    shape: tuple[int, ...] = ()
    """Voxels along the file's axes, (x, y[, z])."""
    components: int = 1
    """Numbers a voxel: 3 in a colour image."""
    geometry: Geometry | None = None
    values: Values | None = None

    @property
    def usable(self) -> bool:
        """Whether there are voxels to compare."""
        return self.values is not None


def examine(path: Path, role: Role, channel: str = "", reader: check_nifti.Reader = "itk") -> Examined:
    """Read a file to its end and tell all that can be told of it alone. Never raises.

    `channel`: an image's channel name; `reader`: what nnU-Net reads NIfTI with in this dataset.
    """
    try:
        return _examine(path, role, channel, reader)
    except UnusableError as error:
        return Examined(path, ((error.kind, error.text),))
    except MemoryError:
        return Examined(path, (("crash", "It needs more memory than there is."),))
    except Exception as error:  # whatever a reader makes of a broken file is a finding, not the end of the run
        return Examined(path, (("reader-refuses", f"It fails with {type(error).__name__}: {_last(error)}"),))


def _examine(path: Path, role: Role, channel: str, reader: check_nifti.Reader) -> Examined:
    name = path.name.lower()
    components, scale = 1, None
    faults: list[tuple[str, str]] = []
    geometry: Geometry | None = None
    if name.endswith(NIFTI):
        stored = check_nifti.read(path, reader)
        voxels, scale, shape = stored.voxels, stored.scale, stored.shape
        geometry, faults = stored.geometry, list(stored.faults)
    elif name.endswith(ITK):
        voxels, geometry, components = read_itk(path)
        shape = geometry.shape
    else:
        voxels, components, shape = _read_flat(path, name)
    values = summarise(voxels.ravel(), scale, role == "label")
    if geometry is not None:
        faults += _of_spacing(geometry)
    faults += _of_values(values, role)
    if role == "image" and channel.casefold() == "ct":
        faults += _of_ct(values, geometry)
    return Examined(path, tuple(faults), tuple(shape), components, geometry, values)


def read_itk(path: Path) -> tuple[NDArray[Any], Geometry, int]:
    """Formats that ITK reads: voxels ([z,] y, x), geometry, components. Raises UnusableError."""
    with readable(path):
        pass
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnusableError("not-an-image", f"ITK finds no header in it that it knows: {_last(error)}") from error
    size, spacing, origin, flat = reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection()
    if len(size) == 4:
        raise UnusableError("four-axes", f"Has the shape {numbers(size)}.")
    if len(size) not in (2, 3):
        raise UnusableError("dimensions", f"Has {len(size)} dimension(s): {numbers(size)}.")
    if (components := reader.GetNumberOfComponents()) > 1:
        raise UnusableError("data-type", f"Has {components} numbers a voxel.")
    if path.name.lower().endswith(".gipl"):
        _long_enough(path, reader)
    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise UnusableError("damaged", f"The header can be read, the voxels not: {_last(error)}") from error
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise UnusableError("spacing-invalid", f"The spacing is {numbers(spacing)} mm.")
    direction = np.array(flat).reshape(len(size), len(size))
    if not np.abs(direction.T @ direction - np.eye(len(size))).max() < 1e-3:
        raise UnusableError("not-orthogonal", "The direction matrix is no rotation.")
    return array, from_lps(size, spacing, origin, flat), components


def _long_enough(path: Path, reader: Any) -> None:
    """ITK fills what a GIPL file lacks with what is in its memory."""
    one = sitk.Image(1, 1, reader.GetPixelID())
    wanted = 256 + math.prod(reader.GetSize()) * one.GetSizeOfPixelComponent()
    if (there := path.stat().st_size) < wanted:
        raise UnusableError("truncated", f"The header promises {wanted} bytes, the file has {there}.")


def _last(error: Exception) -> str:
    """What a library says, without its own whereabouts."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{lines[-1][:200] if lines else type(error).__name__}"


def _read_flat(path: Path, name: str) -> tuple[NDArray[Any], int, tuple[int, ...]]:
    """Photographs and stacks without geometry: voxels, components, shape."""
    with readable(path) as stream:
        head = stream.read(8)
    if not head.startswith(_SIGNS[Path(name).suffix]):
        raise UnusableError("not-an-image", f"Begins with {head.hex(' ')}, not as {Path(name).suffix} does.")
    try:
        pixels = stack(path) if name.endswith(TIFF) else photograph(path)
    except MemoryError:
        raise
    except UnusableError:
        raise
    except Exception as error:  # each plug-in of these readers has its own
        kind = "truncated" if "truncated" in str(error) else "damaged"
        raise UnusableError(kind, f"The reader says: {_last(error)}") from error
    if pixels.dtype.kind not in "iufb":
        raise UnusableError("data-type", f"Is stored as {pixels.dtype}.")
    colour = pixels.ndim == 3 and pixels.shape[-1] in (3, 4)
    if pixels.ndim - colour not in ((2, 3) if name.endswith(TIFF) else (2,)):
        raise UnusableError("dimensions", f"Has the shape {numbers(pixels.shape)}.")
    shape = pixels.shape[:2] if colour else pixels.shape
    pixels = pixels.astype(np.uint8) if pixels.dtype.kind == "b" else pixels
    return pixels, pixels.shape[-1] if colour else 1, shape[::-1]


def photograph(path: Path) -> NDArray[Any]:
    """Pixels (y, x) or (y, x, colours) of a picture, as scikit-image reads it. Each reader has its own errors."""
    from skimage.io import imread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a slide of more than 90 megapixels is called a bomb
        return imread(path)


def stack(path: Path) -> NDArray[Any]:
    """The pixels of a TIFF file. tifffile leaves out pages that it cannot find and only logs it: UnusableError here."""
    import tifffile

    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("tifffile")
    log.addHandler(handler)
    try:
        pixels = tifffile.imread(path)
    finally:
        log.removeHandler(handler)
    if said:
        raise UnusableError("damaged", f"tifffile says: {said[0][:200]}")
    return pixels


def _of_spacing(geometry: Geometry) -> list[tuple[str, str]]:
    odd = [size for size in geometry.spacing if not _SMALLEST <= size <= _LARGEST and size != _STACK]
    return [("spacing-odd", f"The spacing is {numbers(geometry.spacing)} mm.")] if odd else []


def _of_values(values: Values, role: Role) -> list[tuple[str, str]]:
    if values.not_finite:
        return [("not-finite", f"{values.not_finite} voxel(s) are NaN or infinite.")]
    if role == "label" and values.fractions:
        return [("label-fraction", f"{values.fractions} voxel(s) are no whole number, as {values.fraction:.6g}.")]
    if role == "image" and values.low == values.high:
        return [("constant", f"Every voxel is {values.low:g}.")]
    return []


def _of_ct(values: Values, geometry: Geometry | None) -> list[tuple[str, str]]:
    faults = []
    if geometry is not None and geometry.direction and set(geometry.spacing) == {1.0} and _is_identity(geometry):
        faults.append(("identity-affine", "The spacing is 1 x 1 x 1 mm, the axes are the patient's, the origin is 0."))
    if values.low >= 0 and values.high > values.low:
        faults.append(("not-hounsfield", f"The values run from {values.low:g} to {values.high:g}; air is -1000 HU."))
    return faults


def _is_identity(geometry: Geometry) -> bool:
    upright = np.array_equal(np.abs(np.array(geometry.direction)), np.eye(len(geometry.shape)))
    return upright and not any(geometry.origin)
