"""Label maps written into the place of their image."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray

from ...data.labelmaps import raw_values
from ...errors import ConfigError, SetupError
from ...files import replacing, write_json
from ..recipe import Recipe
from .cases import Case, ending_of
from .images import Geometry

_ELSEWHERE = "Choose another output folder."
_NIFTI = (".nii.gz", ".nii")
_HELD = {".mhd": ".mha", ".nhdr": ".nrrd", ".jpg": ".png"}
"""Formats of two files, and one that loses: what the label map is written in instead."""
SEGMENTATION = ".dcm"
"""Ending of DICOM segmentations."""


OutputFormat = Literal["auto", "dicom-seg"]
"""auto: the container of the image, NIfTI for DICOM series."""


def output_name(case: Case, recipe: Recipe, output_format: OutputFormat = "auto") -> str:
    """File name of a case's label map: in the container of its first file, .nii.gz for DICOM. Nothing is read."""
    if output_format == "dicom-seg":
        return f"{case.name}{SEGMENTATION}"
    ending = "" if case.kind == "dicom" else ending_of(case.files[0], recipe).lower()
    if not ending:
        ending = ".nii.gz" if recipe.reader not in ("flat", "tiff") else recipe.file_ending
    return case.name + _HELD.get(ending, ending)


def require_apart(cases: Iterable[Case], output: Path, recipe: Recipe, output_format: OutputFormat = "auto") -> None:
    """Raise ConfigError when a label map in the folder `output` would take the place of an image."""
    cases = list(cases)
    images = {path.resolve() for case in cases for path in case.files}
    for case in cases:
        target = (output / output_name(case, recipe, output_format)).resolve()
        if target in images:
            raise ConfigError(f"The label map of case {case.name} would replace the image {target}.", _ELSEWHERE)


def roi_values(names: Collection[str], recipe: Recipe) -> frozenset[int]:
    """The label values of some labels or regions, by name or number. Raises ConfigError, which lists the names."""
    labels = {name: value for name, value in recipe.labels.items() if name not in ("ignore", "background")}
    known = {str(value): value for value in recipe.foreground} | labels
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"The model has no label {', '.join(unknown)}.", f"Its labels: {', '.join(labels)}.")
    values = (known[name] for name in names)
    return frozenset(one for value in values for one in (value if isinstance(value, tuple) else (value,)))


def write_labels(
    labels: NDArray[Any],
    geometry: Geometry,
    file: Path,
    label_map: Mapping[str, Any] | None = None,
    roi: Collection[int] | None = None,
) -> None:
    """Write a label map, whole or not at all, into the geometry of its image and nothing else of its header.

    labels: (z, y, x), whole numbers, axes as `images.read` gave them; left as it is.
    label_map: content of label_map.json: write the dataset's own label values.
    roi: label values to keep (see `roi_values`); all others become background.

    Arrays, spacing, origin and axes are those that nnU-Net writes for this image. Raises SetupError when the disk is
    full or may not be written to.
    """
    labels = only(labels, roi)
    labels = _small(labels) if label_map is None else raw_values(labels, label_map)
    try:
        if geometry.writer == "flat":
            _write_flat(labels, file)
        elif geometry.writer == "tiff":
            _write_stack(labels, geometry, file)
        else:
            _write_volume(labels, geometry, file)
    except OSError as error:
        problem = f"{file} could not be written: {error.strerror or error}."
        raise SetupError(problem, "Make room on the disk, or choose another output folder.") from error


def only(labels: NDArray[Any], roi: Collection[int] | None) -> NDArray[Any]:
    """A label map without the values that are not wanted; the same array where all are."""
    if roi is None:
        return labels
    keep = np.zeros(int(labels.max(initial=0)) + 1, bool)
    keep[[value for value in roi if value < len(keep)]] = True
    return np.where(keep[labels], labels, labels.dtype.type(0))


def as_stored(labels: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """A label map (z, y, x) with its axes as the image's file has them."""
    return labels if geometry.turn is None else apply_orientation(labels.T, _back(geometry.turn)).T


def _small(labels: NDArray[Any]) -> NDArray[Any]:
    """As nnU-Net: 8 bits below 255, else 16."""
    return labels.astype(np.uint8 if labels.max(initial=0) < 255 else np.uint16, copy=False)


def _write_flat(labels: NDArray[Any], file: Path) -> None:
    from skimage.io import imsave

    with replacing(file, durable=True) as temporary:
        imsave(temporary, labels[0], check_contrast=False)


def _write_stack(labels: NDArray[Any], geometry: Geometry, file: Path) -> None:
    import tifffile

    write_json(file.with_suffix(".json"), {"spacing": list(geometry.spacing)})
    with replacing(file, durable=True) as temporary:
        tifffile.imwrite(temporary, labels, compression="zlib")


def _write_volume(labels: NDArray[Any], geometry: Geometry, file: Path) -> None:
    labels = as_stored(labels, geometry)
    flat = len(geometry.spacing) == 2
    labels = np.ascontiguousarray(labels[0] if flat else labels)
    with replacing(file, durable=True) as temporary:
        if geometry.writer == "nibabel" and file.name.endswith(_NIFTI):
            nibabel.save(nibabel.Nifti1Image(labels.T, np.array(geometry.affine)), temporary)
        else:
            _write_itk(labels, geometry, temporary)


def _back(turn: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """The orientation that undoes another one."""
    back = np.zeros((3, 2), np.int64)
    for axis, (target, sign) in enumerate(turn):
        back[target] = axis, sign
    return back


def _write_itk(labels: NDArray[Any], geometry: Geometry, file: Path) -> None:
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    try:
        sitk.WriteImage(image, str(file), useCompression=True)
        del image
        written = sitk.ReadImage(str(file))
        found = sitk.GetArrayViewFromImage(written)
        whole = found.shape == labels.shape and all(map(np.array_equal, found, labels))
    except RuntimeError as error:
        raise OSError(str(error).strip().splitlines()[-1].strip()) from error
    if not whole:  # ITK does not notice a full disk
        raise OSError("it is read back incomplete")
