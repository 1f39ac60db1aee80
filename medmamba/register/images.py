"""Images in and out: what a file holds on which grid, refused where it cannot be registered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..data.check.file import UnusableError
from ..data.check.geometry import numbers
from ..data.nifti import is_nifti
from ..errors import ConfigError, DataError, SetupError
from ..files import replacing
from ..predict.files import volumes
from .grid import Grid

Interpolation = Literal["linear", "nearest", "bspline"]
INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "bspline": sitk.sitkBSpline}
ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".gipl")
"""Endings of images that are read; a folder is taken for a DICOM series."""
_WRITTEN = (".nii.gz", ".nii", ".mha", ".nrrd")
_SMALLEST, _LARGEST = 0.001, 100.0
"""mm between voxels: what lies outside is a header that was lost, or no image of a patient."""
_REMEDIES = {
    "four-axes": "Registration takes one volume: write the time point or channel that is meant as a file of its own.",
    "dimensions": "Registration takes volumes of three axes. A displacement field is no image: give it as transform.",
    "reader-refuses": "Write it again as NIfTI-1 with three axes and right angles.",
    "data-type": "Write it with one real number a voxel.",
}


@dataclass(frozen=True, eq=False)
class Volume:
    """An image of three axes."""

    data: NDArray[Any]
    """(X, Y, Z), of the file's type; float32 where the file holds fractions or scales its numbers."""
    grid: Grid
    path: Path | None = None
    warnings: tuple[str, ...] = ()
    """What the user should know of the header, a sentence each."""

    @property
    def name(self) -> str:
        """For messages: where it came from."""
        return str(self.path or "the image")

    def itk(self, dtype: Any = None) -> Any:
        """A SimpleITK image of the same voxels; `dtype`: another type than that of the data."""
        array = np.ascontiguousarray(self.data.T, dtype)
        return self.grid.stamp(sitk.GetImageFromArray(array))


def read_image(path: str | Path) -> Volume:
    """Read NIfTI, MHA, NRRD or a folder with one DICOM series.

    Raises DataError, naming the file and what to do, where it cannot be read to its end or used: two or four axes, one
    slice, NaN or infinite numbers, no voxel size or one that no image of a patient has, several numbers a voxel.
    `warnings` tell of forms that disagree and of axes that make a left hand.
    """
    path = Path(path).expanduser()
    stored = _load(path)
    if stored.voxels.ndim == 2 or min(stored.voxels.shape) < 2:
        shape = numbers(stored.voxels.shape[::-1])
        raise DataError(f"{path} is no volume: it has {shape} voxels.", "Registration is of volumes, not of slices.")
    x, y, z = stored.voxels.shape[::-1]
    grid = Grid((x, y, z), stored.affine)
    if not (min(grid.spacing) >= _SMALLEST and max(grid.spacing) <= _LARGEST):
        problem = f"{path} has voxels of {numbers(grid.spacing)} mm."
        raise DataError(problem, "Find the true voxel size and write it into the header.")
    data = _values(stored, path)
    warnings = list(stored.warnings)
    if np.linalg.det(grid.direction) < 0:
        warnings.append(f"{path}: its axes make a left hand (stored mirrored); it is read as its header says.")
    return Volume(data, grid, path, tuple(warnings))


def read_labels(path: str | Path) -> Volume:
    """Read a label map, as integers. Raises DataError as `read_image` does, and where a number is not whole."""
    volume = read_image(path)
    data = volume.data
    if data.dtype.kind == "f":
        whole = np.rint(data)
        if not np.array_equal(whole, data):
            problem = f"{path} is no label map: {int((whole != data).sum())} voxels hold fractions."
            raise DataError(problem, "Give the label map, not the image or probabilities.")
        data = whole
    if data.dtype.kind == "f" or data.dtype.itemsize > 4:
        data = data.astype(_smallest_type(int(data.min()), int(data.max()), path))
    return Volume(data, volume.grid, volume.path, volume.warnings)


def read_mask(path: str | Path) -> Volume:
    """Read a mask: uint8, 1 where the file is not zero. Raises DataError as `read_labels`, and where it is empty."""
    volume = read_labels(path)
    data = (volume.data != 0).astype(np.uint8)
    if not data.any():
        raise DataError(f"{path} is an empty mask: every voxel is 0.", "Give the mask of the region that counts.")
    return Volume(data, volume.grid, volume.path, volume.warnings)


def write_image(volume: Volume, path: str | Path) -> None:
    """Write an image, whole or not at all, in the format of the ending (.nii.gz, .nii, .mha, .nrrd).

    Raises ConfigError for another ending and SetupError where the disk is full or may not be written to.
    """
    path = Path(path).expanduser()
    require_image_ending(path)
    try:
        with replacing(path, durable=True) as temporary:
            if is_nifti(path):
                nibabel.save(nifti(volume.data, volume.grid), temporary)
            else:
                _write_itk(volume, temporary)
    except OSError as error:
        raise unwritable(path, error) from error


def require_image_ending(path: Path) -> None:
    """Raise ConfigError where an image cannot be written to a file of this name."""
    if not path.name.lower().endswith(_WRITTEN):
        raise ConfigError(f"{path} has no ending of an image.", f"Use one of {', '.join(_WRITTEN)}.")


def nifti(data: NDArray[Any], grid: Grid) -> Any:
    """A nibabel image of an array (X, Y, Z, ...) whose sform and qform both are the grid's, in millimetres."""
    image = nibabel.Nifti1Image(data, grid.affine, dtype=data.dtype)
    image.set_sform(grid.affine, 1)
    image.set_qform(grid.affine, 1)
    image.header.set_xyzt_units("mm")
    return image


def unwritable(path: Path, error: OSError) -> SetupError:
    """The error for a file that could not be written."""
    problem = f"{path} could not be written: {error.strerror or error}."
    return SetupError(problem, "Make room on the disk, or choose another output folder.")


def onto(volume: Volume, grid: Grid, interpolation: Interpolation = "linear", outside: float = 0.0) -> NDArray[Any]:
    """The image's numbers at the voxels of another grid, by geometry alone: (X, Y, Z).

    float32, or with "nearest" the image's own type. `outside`: where the image does not reach.
    """
    exact = interpolation == "nearest"
    kind = sitk.sitkUnknown if exact else sitk.sitkFloat32
    method = INTERPOLATORS[interpolation]
    result = sitk.Resample(volume.itk(), grid.reference(), sitk.Transform(), method, outside, kind)
    return array_of(result)


def array_of(image: Any) -> NDArray[Any]:
    """The voxels (X, Y, Z) of a SimpleITK image, in C order."""
    return np.ascontiguousarray(sitk.GetArrayViewFromImage(image).T)


def _load(path: Path) -> volumes.Volume:
    series = path.is_dir()
    if not path.exists():
        raise DataError(f"{path} is not there.", "Check the path.")
    if not series and not path.name.lower().endswith(ENDINGS):
        problem = f"{path} has no ending of an image that can be registered."
        raise DataError(problem, f"Give one of {', '.join(ENDINGS)}, or a folder with a DICOM series.")
    try:
        return volumes.load(path, "nibabel" if _is_nifti_2(path) else "itk", series)
    except DataError as error:
        if not isinstance(cause := error.__cause__, UnusableError):
            raise
        problem = f"{path} cannot be used: {cause.text}" if cause.kind == "reader-refuses" else error.problem
        raise DataError(problem, _REMEDIES.get(cause.kind, error.remedy)) from error


def _is_nifti_2(path: Path) -> bool:
    """ITK does not read NIfTI-2; nibabel does."""
    if not is_nifti(path):
        return False
    try:
        return bool(nibabel.load(path).header["sizeof_hdr"] == nibabel.Nifti2Header.sizeof_hdr)
    except Exception:  # whatever is wrong with it, the reader that judges files says it in its own words
        return False


def _values(stored: volumes.Volume, path: Path) -> NDArray[Any]:
    """The stored numbers (X, Y, Z), scaled; all finite."""
    data = stored.voxels.T
    if stored.scale is not None:
        slope, intercept = stored.scale
        data = (data.astype(np.float64) * slope + intercept).astype(np.float32)
    elif data.dtype.kind == "f":
        with np.errstate(over="ignore"):
            data = data.astype(np.float32)
    if data.dtype.kind == "f" and not (finite := np.isfinite(data)).all():
        count = int(finite.size - finite.sum())
        raise DataError(f"{path} has {count} voxel(s) that are NaN or infinite.", "Replace them, for example by zero.")
    return np.ascontiguousarray(data, data.dtype.newbyteorder("="))


def _smallest_type(low: int, high: int, path: str | Path) -> Any:
    for dtype in (np.uint8, np.uint16, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    raise DataError(f"{path} is no label map: it holds {low if low < 0 else high}.", "Give labels below 2^31.")


def _write_itk(volume: Volume, path: Path) -> None:
    try:
        sitk.WriteImage(volume.itk(), str(path), useCompression=True)
        whole = np.array_equal(array_of(sitk.ReadImage(str(path))), volume.data)
    except RuntimeError as error:
        raise OSError(str(error).strip().splitlines()[-1].strip()) from error
    if not whole:  # ITK does not notice a full disk
        raise OSError("it is read back incomplete")
