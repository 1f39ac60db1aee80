"""Raw images and labels read to their end, checked, and written under pseudonyms with headers made afresh."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..predict.files.cases import Case
    from ..predict.recipe import Recipe

ENDING = ".nii.gz"
_SMALL = (("uint8", 255), ("uint16", 65535))


@dataclass(frozen=True)
class Checked:
    """One case that can be used."""

    channels: "tuple[NDArray[Any], ...]"
    """(z, y, x) each, as the file has its axes."""
    affine: "NDArray[Any]"
    """(4, 4): index (x, y, z) to millimetres to the right, anterior, superior."""
    spacing: tuple[float, float, float]
    """mm, (z, y, x)."""
    labels: "NDArray[Any] | None"
    """(z, y, x), whole numbers from 0 on."""
    warnings: tuple[str, ...] = ()


def require_volumes(recipe: "Recipe") -> None:
    """Raise ConfigError for a model of pictures, which have no header to make afresh."""
    if recipe.reader in ("flat", "tiff"):
        raise ConfigError("The model takes pictures, and only volumes are prepared.", "Give the pictures as they are.")


def read(case: "Case", reference: Path | None, recipe: "Recipe", declared: Sequence[int] | None) -> Checked:
    """A case with its labels.

    declared: the label values that there may be, ascending; None: any whole numbers from 0 to 65535.

    Raises DataError for an image that `medmamba predict` would refuse, and for labels that lie elsewhere, are no whole
    numbers or are not declared.
    """
    import numpy as np

    from ..predict.files import images
    from ..predict.files.writing import as_stored

    image = images.read(case, recipe)
    channels = tuple(as_stored(channel, image.geometry) for channel in image.data)
    affine = np.array(image.geometry.affine)
    labels = None
    if reference is not None:
        labels = _labels(reference, channels[0].shape, affine, declared)
    z, y, x = np.linalg.norm(affine[:3, :3], axis=0)[::-1].tolist()
    return Checked(channels, affine, (z, y, x), labels, image.warnings)


def _labels(
    file: Path, shape: tuple[int, ...], affine: "NDArray[Any]", declared: Sequence[int] | None
) -> "NDArray[Any]":
    import numpy as np

    from ..data.check.geometry import difference
    from ..predict.files import volumes

    volume = volumes.load(file, "itk")
    edges = tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    apart = difference(volumes.grid_of(shape[::-1], edges, affine), volume.grid)
    if volume.voxels.shape != shape or apart.real:
        raise DataError(f"{file} lies on another grid than its image.", "Draw the labels on this image.")
    voxels = volume.voxels if volume.scale is None else volume.voxels * volume.scale[0] + volume.scale[1]
    values = np.unique(voxels)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values[0] < 0 or values[-1] > 65535:
        raise DataError(f"{file} is no label map: it has values that are no whole numbers.", "Give the label map.")
    if declared is not None and set(values.astype(int).tolist()) - set(declared):
        raise DataError(f"{file} holds values which the dataset does not declare.", "Is --raw-labels right?")
    return voxels.astype(next(kind for kind, most in _SMALL if values[-1] <= most))


def write(checked: Checked, name: str, images: Path, labels: Path) -> None:
    """Write NAME_0000.nii.gz, ... and the labels' NAME.nii.gz, the first channel last. OSError where that fails."""
    if checked.labels is not None:
        _write(checked.labels, checked.affine, labels / f"{name}{ENDING}")
    for number in reversed(range(len(checked.channels))):
        _write(_compact(checked.channels[number]), checked.affine, images / f"{name}_{number:04d}{ENDING}")


def _compact(voxels: "NDArray[Any]") -> "NDArray[Any]":
    """16 bits where they hold every voxel, as of a CT."""
    import numpy as np

    low, high = voxels.min(), voxels.max()
    if low < -32768 or high > 32767:
        return voxels
    small = voxels.astype(np.int16)
    return small if np.array_equal(small, voxels) else voxels


def _write(voxels: "NDArray[Any]", affine: "NDArray[Any]", file: Path) -> None:
    """NIfTI of voxels and place, and nothing else."""
    import nibabel
    import numpy as np

    from ..files import replacing

    image = nibabel.Nifti1Image(np.ascontiguousarray(voxels).T, affine)
    image.set_sform(affine, 1)
    image.header.set_xyzt_units("mm")
    with replacing(file, durable=True) as temporary:
        nibabel.save(image, temporary)
