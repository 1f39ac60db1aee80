"""Transforms as ITK's files: .h5 for composites; .tfm, .mat (ANTs' 0GenericAffine.mat among them) for affine maps."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import ConfigError, DataError
from ...files import replacing
from ..grid import Grid
from ..images import unwritable
from .nifti import require_finite
from .transform import Affine, Field, Transform

COMPOSITE = (".h5", ".hdf5")
AFFINE = (".tfm", ".txt", ".mat")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_END_AT = {0: 40, 1: 44}
"""Where the first bytes of an HDF5 file tell its length, by their version; 28 in newer ones."""
_FLAT = 1e-9
"""Determinant of an affine map below which it is none that can be undone."""
_AGAIN = "Copy it again, or write it again with the program that it came from."


def read_itk(path: Path, reference: Grid | None = None) -> Transform:
    """Read a transform that ITK, ANTs, elastix (as .h5 or .tfm) or 3D Slicer wrote.

    reference: see `Transform.from_itk`. Raises DataError where the file holds no transform of three dimensions, or one
    that flattens space or has numbers that are not finite.
    """
    if path.name.lower().endswith(COMPOSITE):
        _require_whole(path)
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        with _silent(), _named_for_itk(path) as named:
            transform = sitk.ReadTransform(str(named))
    except RuntimeError as error:
        raise DataError(f"{path} is no transform that ITK can read: {_said(error)}.", _AGAIN) from error
    try:
        result = Transform.from_itk(transform, reference)
    except DataError as error:
        raise DataError(f"{path}: {error.problem}", error.remedy) from error
    for part in result.parts:
        if isinstance(part, Field):
            require_finite(part.displacement, path)
        elif not (np.isfinite(part.matrix).all() and abs(np.linalg.det(part.matrix)) > _FLAT):
            raise DataError(f"{path} holds an affine map that flattens space or is not finite.", _AGAIN)
    return result


def write_itk(transform: Transform, path: Path) -> None:
    """Write a composite (.h5) or one affine map (.tfm, .txt, .mat), whole or not at all.

    Raises ConfigError for another ending and for a field in a file that holds an affine map only.
    """
    name = path.name  # in capitals an ending means nothing to ITK
    if name.endswith(AFFINE):
        content = merged(transform, path).itk()
    elif name.endswith(COMPOSITE):
        content = transform.itk()
    else:
        raise ConfigError(f"{path} has no ending of ITK's transforms.", f"Use one of {', '.join(COMPOSITE + AFFINE)}.")
    try:
        with replacing(path, durable=True) as temporary, _silent():
            sitk.WriteTransform(content, str(temporary))
            if name.endswith(AFFINE):  # ITK does not notice a full disk, but for HDF5
                sitk.ReadTransform(str(temporary))
    except OSError as error:
        raise unwritable(path, error) from error
    except RuntimeError as error:
        raise unwritable(path, OSError(_said(error))) from error


def merged(transform: Transform, path: Path) -> Affine:
    """All parts as one affine map. ConfigError, naming the file that asks for it, where one is a field."""
    affine = Affine(np.eye(4))
    for part in transform.parts:
        if isinstance(part, Field):
            problem = f"{path} can hold an affine map only; this transform has a displacement field."
            raise ConfigError(problem, "Write it as .h5.")
        affine = Affine(part.matrix @ affine.matrix)
    return affine


def _require_whole(path: Path) -> None:
    """Raise DataError for a file that is not HDF5, or shorter than its header says. ITK's own words tell neither."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", "Let your user read the file.") from error
    if not head.startswith(_HDF5):
        raise DataError(f"{path} is no transform: its content is not HDF5.", _AGAIN)
    at = _END_AT.get(head[len(_HDF5)], 28)
    wanted, size = int.from_bytes(head[at : at + 8], "little"), path.stat().st_size
    if size < wanted:
        raise DataError(f"{path} is truncated: it has {size} bytes of {wanted}.", _AGAIN)


@contextmanager
def _named_for_itk(path: Path) -> Iterator[Path]:
    """The file by a name whose ending ITK knows: it does not know .TFM, which some systems make of .tfm."""
    if path.suffix == path.suffix.lower():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="medmamba-") as folder:
        named = Path(folder) / f"transform{path.suffix.lower()}"
        named.symlink_to(path.absolute())
        yield named


@contextmanager
def _silent() -> Iterator[None]:
    """HDF5 prints a page on the process' standard error where an exception follows that says what has to be said."""
    with tempfile.TemporaryFile() as nowhere:
        before = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)


def _said(error: RuntimeError) -> str:
    """What ITK says, without its own whereabouts."""
    text = str(error).rpartition("ITK ERROR: ")[2].strip().splitlines()[0]
    text = re.sub(r"^\w+\(0x[0-9a-f]+\): ", "", text).strip().rstrip(".")
    return "it is damaged, or of another kind than its name says" if text.startswith("Could not create Tr") else text
