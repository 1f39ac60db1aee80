"""Transforms as ITK's files: .h5 for composites; .tfm, .mat (ANTs' 0GenericAffine.mat among them) for affine maps."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import ConfigError, DataError
from ...files import replacing
from ..grid import Grid
from ..images import unwritable
from .transform import Affine, Field, Transform

COMPOSITE = (".h5", ".hdf5")
AFFINE = (".tfm", ".txt", ".mat")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_AGAIN = "Copy it again, or write it again with the program that it came from."


def read_itk(path: Path, reference: Grid | None = None) -> Transform:
    """Read a transform that ITK, ANTs, elastix (as .h5 or .tfm) or 3D Slicer wrote.

    reference: see `Transform.from_itk`. Raises DataError where the file holds no transform of three dimensions.
    """
    if path.name.lower().endswith(COMPOSITE):
        with path.open("rb") as file:
            if file.read(len(_HDF5)) != _HDF5:  # HDF5 would talk at length on the terminal
                raise DataError(f"{path} is no transform: its content is not HDF5.", _AGAIN)
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1].strip()
        raise DataError(f"{path} is no transform that ITK can read: {said}", _AGAIN) from error
    try:
        return Transform.from_itk(transform, reference)
    except DataError as error:
        raise DataError(f"{path}: {error.problem}", error.remedy) from error


def write_itk(transform: Transform, path: Path) -> None:
    """Write a composite (.h5) or one affine map (.tfm, .txt, .mat), whole or not at all.

    Raises ConfigError for another ending and for a field in a file that holds an affine map only.
    """
    name = path.name.lower()
    if name.endswith(AFFINE):
        content = merged(transform, path).itk()
    elif name.endswith(COMPOSITE):
        content = transform.itk()
    else:
        raise ConfigError(f"{path} has no ending of ITK's transforms.", f"Use one of {', '.join(COMPOSITE + AFFINE)}.")
    try:
        with replacing(path, durable=True) as temporary:
            sitk.WriteTransform(content, str(temporary))
    except (OSError, RuntimeError) as error:
        raise unwritable(path, error if isinstance(error, OSError) else OSError(str(error).splitlines()[-1])) from error


def merged(transform: Transform, path: Path) -> Affine:
    """All parts as one affine map. ConfigError, naming the file that asks for it, where one is a field."""
    affine = Affine(np.eye(4))
    for part in transform.parts:
        if isinstance(part, Field):
            problem = f"{path} can hold an affine map only; this transform has a displacement field."
            raise ConfigError(problem, "Write it as .h5.")
        affine = Affine(part.matrix @ affine.matrix)
    return affine
