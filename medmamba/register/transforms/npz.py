"""Displacement fields in voxels as NumPy archives: our own with its grid, and Learn2Reg's with one array."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError
from ...files import replacing
from ..grid import Grid
from ..images import unwritable
from .nifti import from_voxels, grid_of, require_finite
from .transform import Field, Transform


def read_npz(path: Path, reference: Grid | None = None, moving: Grid | None = None) -> Transform:
    """Read `displacement` with its `affine`, or the one array of Learn2Reg, (X, Y, Z, 3) or (3, X, Y, Z), in voxels.

    reference: the fixed grid, without which one array has no place; moving: its image's, where that is another.
    Raises DataError for other content.
    """
    arrays = _arrays(path)
    if {"displacement", "affine"} <= arrays.keys():
        array, affine = arrays["displacement"], arrays["affine"]
        if array.ndim != 4 or array.shape[3] != 3 or affine.shape != (4, 4):
            problem = f"{path} has a displacement of shape {array.shape} and an affine of shape {affine.shape}."
            raise DataError(problem, "They have to be (X, Y, Z, 3) and (4, 4).")
        x, y, z, _ = array.shape
        return from_voxels(require_finite(array, path), grid_of((x, y, z), affine, path), None, path)
    if len(arrays) != 1:
        problem = f"{path} holds the arrays {', '.join(arrays) or '(none)'}: which is the field?"
        raise DataError(problem, "Write one array (X, Y, Z, 3), or `displacement` and `affine`.")
    (array,) = arrays.values()
    if array.ndim != 4 or 3 not in (array.shape[0], array.shape[-1]):
        raise DataError(f"{path} holds an array of shape {array.shape}.", "A field is (X, Y, Z, 3) or (3, X, Y, Z).")
    if reference is None:
        problem = f"{path} does not say where its voxels lie."
        raise DataError(problem, "Give the fixed image as the reference.")
    if array.shape != (*reference.shape, 3) and array.shape[0] == 3:
        array = np.moveaxis(array, 0, -1)
    return from_voxels(require_finite(array, path), reference, moving, path)


def write_voxel_npz(field: Field, path: Path) -> None:
    """Write `displacement` (X, Y, Z, 3) float32 in voxels, component c along array axis c, and the grid's `affine`."""
    _save(path, displacement=field.displacement, affine=field.grid.affine)


def write_learn2reg_npz(field: Field, path: Path) -> None:
    """Write exactly one array (X, Y, Z, 3) float32 in voxels."""
    _save(path, displacement=field.displacement)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:  # NumPy leaves a file open that it finds damaged
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is one array without an archive")
            with archive:
                found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is no NumPy archive that can be read: {said}.", "Write the field again.") from error
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}  # NumPy gives text as bytes


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    if not path.name.endswith(".npz"):
        raise ConfigError(f"{path} has no ending of a NumPy archive.", "Use .npz.")
    try:
        with replacing(path, durable=True) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
    except OSError as error:
        raise unwritable(path, error) from error
