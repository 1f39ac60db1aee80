"""One file of a dataset, read by whichever way its ending asks for and summarised; runs in a worker process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from . import check_nifti
from .check_file import UnusableError, readable
from .check_values import Values, summarise
from .geometry import Geometry, from_lps, numbers

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


def examine(path: Path, role: Role, channel: str = "") -> Examined:
    """Read a file to its end and tell all that can be told of it alone; `channel`: the channel's name. Never raises."""
    try:
        return _examine(path, role, channel)
    except UnusableError as error:
        return Examined(path, ((error.kind, error.text),))
    except MemoryError:
        return Examined(path, (("crash", "It needs more memory than there is."),))
    except Exception as error:  # whatever a reader makes of a broken file is a finding, not the end of the run
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error).strip() else ''}"
        kind = "truncated" if "truncated" in reason.lower() else "not-an-image"
        return Examined(path, ((kind, f"The reader fails with {reason[:200]}"),))


def _examine(path: Path, role: Role, channel: str) -> Examined:
    name = path.name.lower()
    components, scale = 1, None
    faults: list[tuple[str, str]] = []
    geometry: Geometry | None = None
    if name.endswith(NIFTI):
        stored = check_nifti.read(path)
        voxels, scale, shape = stored.voxels, stored.scale, stored.shape
        geometry, faults = stored.geometry, list(stored.faults)
    elif name.endswith(ITK):
        voxels, geometry, components = _read_itk(path)
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


def _read_itk(path: Path) -> tuple[NDArray[Any], Geometry, int]:
    """Formats that ITK reads: voxels, geometry, components."""
    with readable(path):
        pass
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise UnusableError("not-an-image", f"ITK says: {str(error).strip().splitlines()[-1].strip()[:200]}") from error
    if image.GetDimension() == 4:
        raise UnusableError("four-axes", f"Has the shape {numbers(image.GetSize())}.")
    if (components := image.GetNumberOfComponentsPerPixel()) > 1:
        raise UnusableError("data-type", f"Has {components} numbers a voxel.")
    spacing, direction = image.GetSpacing(), np.array(image.GetDirection()).reshape([image.GetDimension()] * 2)
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise UnusableError("spacing-invalid", f"The spacing is {numbers(spacing)} mm.")
    if np.abs(direction.T @ direction - np.eye(len(spacing))).max() > 1e-3:
        raise UnusableError("not-orthogonal", "The direction matrix is no rotation.")
    geometry = from_lps(image.GetSize(), spacing, image.GetOrigin(), image.GetDirection())
    return sitk.GetArrayFromImage(image), geometry, components


def _read_flat(path: Path, name: str) -> tuple[NDArray[Any], int, tuple[int, ...]]:
    """Photographs and stacks without geometry: voxels, components, shape."""
    with readable(path):
        pass
    if name.endswith(TIFF):
        import tifffile

        pixels = tifffile.imread(path)
    else:
        from skimage.io import imread

        pixels = imread(path)
    if pixels.dtype.kind not in "iufb":
        raise UnusableError("data-type", f"Is stored as {pixels.dtype}.")
    colour = pixels.ndim == 3 and pixels.shape[-1] in (3, 4)
    if pixels.ndim - colour not in ((2, 3) if name.endswith(TIFF) else (2,)):
        raise UnusableError("dimensions", f"Has the shape {numbers(pixels.shape)}.")
    shape = pixels.shape[:2] if colour else pixels.shape
    return (
        pixels.astype(np.uint8) if pixels.dtype.kind == "b" else pixels,
        pixels.shape[-1] if colour else 1,
        shape[::-1],
    )


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
