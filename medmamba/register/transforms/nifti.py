"""Displacement fields as NIfTI: ITK's and Slicer's of five axes in millimetres, Learn2Reg's of four in voxels.

The vectors of intent 1007 (VECTOR) are LPS; those of 1006 (DISPVECT) are RAS, and ITK turns them when it reads them.
"""

from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from numpy.typing import NDArray

from ...data import nifti as stored
from ...data.check.geometry import numbers
from ...errors import ConfigError, DataError
from ...files import replacing
from ..grid import Grid
from ..images import nifti, unwritable
from .transform import Affine, Field, Transform

VECTOR: Literal[1007] = 1007
DISPVECT: Literal[1006] = 1006
ENDINGS = (".nii.gz", ".nii")
_FOREIGN = {"mapping": "SPM's deformation, which holds places", "nreg_trans": "NiftyReg's, which holds RAS vectors"}
"""Intent names of other programs that use ITK's code with another meaning."""
_AS_ITK = "Write it as ITK does: five axes (X, Y, Z, 1, 3), intent code 1007, millimetres to left, posterior, superior."


def read_displacement(path: Path, reference: Grid | None = None, moving: Grid | None = None) -> Transform:
    """Read a field of five axes (intent 1007 or 1006), or of four, which is taken for Learn2Reg's voxels.

    reference, moving: grids for Learn2Reg's field, see `from_voxels`. Raises DataError where the file holds no field,
    one whose vectors have no known meaning, or numbers that are not finite.
    """
    image = stored.load(path)
    shape = image.shape
    if len(shape) == 4 and shape[3] == 3:
        grid = reference or grid_of(shape[:3], image.affine, path)
        return from_voxels(_vectors(image, path), grid, moving, path)
    if len(shape) != 5 or shape[3:] != (1, 3):
        problem = f"{path} is no displacement field: it has the shape {numbers(shape)}."
        raise DataError(problem, "A field has three numbers a voxel. Is it an image? Give the transform.")
    lps = _is_lps(image, path)
    grid = grid_of(shape[:3], image.affine, path)
    return Transform((Field.from_vectors(_vectors(image, path)[:, :, :, 0], grid, lps),))


def write_displacement_nifti(field: Field, path: Path, intent: Literal[1007, 1006] = VECTOR) -> None:
    """Write a field as ITK's NIfTI: float32 (X, Y, Z, 1, 3), millimetres; LPS for intent 1007, RAS for 1006."""
    image = nifti(field.vectors(intent == VECTOR)[:, :, :, None], field.grid)
    image.header.set_intent(intent)
    _save(image, path)


def write_learn2reg_nifti(field: Field, path: Path) -> None:
    """Write a displacement in voxels, (X, Y, Z, 3) float32, component c along array axis c: Learn2Reg's form."""
    _save(nifti(field.displacement, field.grid), path)


def in_voxels(transform: Transform, fixed: Grid, moving: Grid | None = None) -> Field:
    """The map from voxels of the fixed grid to voxels of the moving one, less the index: what Learn2Reg calls a field.

    On a pair of one grid (moving None) that is the displacement itself.
    """
    if moving is None or moving.same_as(fixed):
        return transform.displacement_on(fixed)
    over = Affine(fixed.affine @ np.linalg.inv(moving.affine))
    return Transform((*transform.parts, over)).displacement_on(fixed)


def from_voxels(displacement: NDArray[Any], fixed: Grid, moving: Grid | None, path: Path) -> Transform:
    """The way back from `in_voxels`. DataError, naming the file, where the field has another shape than the grid."""
    if displacement.shape != (*fixed.shape, 3):
        problem = (
            f"{path} has a field of {numbers(displacement.shape[:3])} voxels, the fixed image has "
            f"{numbers(fixed.shape)}."
        )
        raise DataError(problem, "Give the fixed image of this pair.")
    field = Field(np.ascontiguousarray(displacement, np.float32), fixed)
    if moving is None or moving.same_as(fixed):
        return Transform((field,))
    return Transform((field, Affine(moving.affine @ np.linalg.inv(fixed.affine))))


def grid_of(shape: tuple[int, int, int], affine: NDArray[Any], path: Path) -> Grid:
    """The grid of a field in a file. DataError where it has no voxel, or none that lies at a place in the patient."""
    if not min(shape):
        raise DataError(f"{path} has a field without a voxel: {numbers(shape)}.", "Run the registration again.")
    numeric = affine.dtype.kind in "iuf" and bool(np.isfinite(affine).all())
    if not numeric or np.linalg.det(affine[:3, :3].astype(np.float64)) == 0:
        problem = f"{path} has a voxel size of zero, or an affine that is not finite."
        raise DataError(problem, "Write the field again with the fixed image's header.")
    return Grid(shape, np.array(affine, np.float64))


def require_finite(vectors: NDArray[Any], path: Path) -> NDArray[Any]:
    """`vectors` again; DataError where one is NaN, infinite, or too large for the float32 of a field."""
    if vectors.dtype.kind not in "iuf" or not all(_is_finite(row) for row in vectors):
        raise DataError(f"{path} holds displacements that are not finite numbers.", "Run the registration again.")
    return vectors


def _is_finite(row: NDArray[Any]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(row.astype(np.float32, copy=False)).all())


def _is_lps(image: Any, path: Path) -> bool:
    header = image.header
    name = bytes(header["intent_name"]).rstrip(b"\0").decode("latin-1").strip().lower()
    code = int(header["intent_code"])
    if name in _FOREIGN:
        raise DataError(f"{path} is {_FOREIGN[name]}, not a displacement as ITK knows it.", _AS_ITK)
    if code not in (VECTOR, DISPVECT):
        problem = f"{path} has five axes and intent code {code}: nothing says that its numbers are vectors, or which."
        raise DataError(problem, _AS_ITK)
    return code == VECTOR


def _vectors(image: Any, path: Path) -> NDArray[Any]:
    return require_finite(stored.voxels(image, path), path)


def _save(image: Any, path: Path) -> None:
    if not path.name.endswith(ENDINGS):
        raise ConfigError(f"{path} has no ending of NIfTI.", "Use .nii.gz.")
    try:
        with replacing(path, durable=True) as temporary:
            nibabel.save(image, temporary)
    except OSError as error:
        raise unwritable(path, error) from error
