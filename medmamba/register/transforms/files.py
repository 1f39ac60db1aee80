"""Transforms in and out: which reader and which writer a file or a form asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ...errors import ConfigError, DataError
from ..grid import Grid
from . import itk, nifti, npz
from .itk import write_itk
from .nifti import DISPVECT, in_voxels, write_displacement_nifti, write_learn2reg_nifti
from .npz import write_learn2reg_npz, write_voxel_npz
from .transform import Field, Transform

FORWARD, INVERSE = "transform.h5", "inverse_transform.h5"
"""Names in the folder of a registration's result."""
_IMAGES = (".nrrd", ".mha", ".mhd")


def read(
    path: str | Path, inverse: bool = False, reference: Grid | None = None, moving: Grid | None = None
) -> Transform:
    """The transform in a file, or in the folder of a registration's result.

    inverse: of a folder the inverse that was written there; of a file the inverse, affine maps exactly and fields by
        iteration (`inverse.inverted`).
    reference: the fixed image's grid, for forms that do not say where they lie (an .npz of one array, a B-spline).
    moving: the moving image's grid, for Learn2Reg's voxel fields of two images on two grids.

    .h5, .tfm, .txt, .mat: ITK's, ANTs', Slicer's. .nii, .nii.gz: fields of five axes in mm (intent 1007 LPS, 1006
    RAS), of four axes in voxels (Learn2Reg). .nrrd, .mha: fields in mm, LPS. .npz: fields in voxels.
    Raises DataError, naming the file and what to do, where there is no transform in it.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return itk.read_itk(_in_folder(path, INVERSE if inverse else FORWARD), reference)
    transform = _file(path, reference, moving)
    if not inverse:
        return transform
    from .inverse import inverted

    return inverted(transform)


def write_learn2reg(transform: Transform, fixed: Grid, moving: Grid | None, path: Path) -> None:
    """Write Learn2Reg's field (.nii.gz or .npz): voxels of `moving` minus voxels of `fixed`, at each fixed voxel."""
    field = in_voxels(transform, fixed, moving)
    (write_learn2reg_npz if path.name.lower().endswith(".npz") else write_learn2reg_nifti)(field, path)


@dataclass(frozen=True)
class Form:
    """A form to convert to."""

    endings: tuple[str, ...]
    write: Callable[[Transform, Grid, Grid | None, Path], None]
    """(transform, fixed grid, moving grid, path)."""


FORMS = {
    "itk-h5": Form(itk.COMPOSITE + itk.AFFINE, lambda transform, fixed, moving, path: write_itk(transform, path)),
    "itk-nifti": Form(
        nifti.ENDINGS,
        lambda transform, fixed, moving, path: write_displacement_nifti(transform.displacement_on(fixed), path),
    ),
    "slicer-1006": Form(
        nifti.ENDINGS,
        lambda transform, fixed, moving, path: write_displacement_nifti(
            transform.displacement_on(fixed), path, DISPVECT
        ),
    ),
    "l2r": Form((*nifti.ENDINGS, ".npz"), write_learn2reg),
    "voxel-npz": Form(
        (".npz",), lambda transform, fixed, moving, path: write_voxel_npz(transform.displacement_on(fixed), path)
    ),
}
"""Name on the command line -> how it is written. Only itk-h5 keeps affine maps apart from fields."""


def require_form(form: str, path: Path) -> Form:
    """The form of that name. ConfigError where there is none, or where the file's ending is not one of its own."""
    if form not in FORMS:
        raise ConfigError(f"There is no form {form!r} to convert to.", f"Use one of {', '.join(FORMS)}.")
    if not path.name.endswith(FORMS[form].endings):
        raise ConfigError(f"{path} has no ending of the form {form}.", f"Use {', '.join(FORMS[form].endings)}.")
    return FORMS[form]


def _in_folder(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        problem = f"{folder} holds no {name}."
        raise DataError(problem, "Give the output folder of `medmamba register`, or the file of a transform.")
    return folder / name


def _file(path: Path, reference: Grid | None, moving: Grid | None) -> Transform:
    if not path.is_file():
        raise DataError(f"{path} does not exist.", "Give a transform's file, or the folder of a registration's result.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes).", "Copy or write it again.")
    name = path.name.lower()
    if name.endswith(itk.COMPOSITE + itk.AFFINE):
        return itk.read_itk(path, reference)
    if name.endswith(nifti.ENDINGS):
        return nifti.read_displacement(path, reference, moving)
    if name.endswith(".npz"):
        return npz.read_npz(path, reference, moving)
    if name.endswith(_IMAGES):
        return _vector_image(path)
    known = ", ".join((*itk.COMPOSITE, *itk.AFFINE, *nifti.ENDINGS, ".npz", *_IMAGES))
    raise DataError(f"{path} has no ending of a transform.", f"Give one of {known}, or a result's folder.")


def _vector_image(path: Path) -> Transform:
    """A field that ITK wrote as an image of vectors in LPS millimetres, as Slicer saves displacements in .nrrd."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1].strip()
        raise DataError(f"{path} cannot be read: {said}", "Copy or write it again.") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise DataError(f"{path} is no displacement field.", "A field has three axes and three numbers a voxel.")
    nifti.require_finite(sitk.GetArrayViewFromImage(image), path)
    return Transform((Field.from_itk_image(image),))
