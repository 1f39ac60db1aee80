"""Image files that look right and are not.

ITK's reader fills what a truncated file lacks, and turns NaN and infinity in NIfTI files into zero, without a word.
"""

import gzip
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from ..errors import DataError

_CHUNK = 2**20


def check_complete(path: Path) -> None:
    """Read a gzip file to its end and compare its checksum; other files pass.

    Raises DataError that names a file which is missing, truncated or damaged.
    """
    if path.suffix != ".gz":
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(_CHUNK):
                pass
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", "Check the path.") from error
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged ({error}).", "Copy or download it again.") from error


def check_finite(path: Path) -> None:
    """Look for NaN and infinity in a NIfTI file of floating numbers; other files pass.

    Raises DataError that names a file with such values, or one that is no NIfTI image.
    """
    if not path.name.endswith((".nii", ".nii.gz")):
        return
    try:
        image = nibabel.load(path)
        if image.get_data_dtype().kind != "f":
            return
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as NIfTI ({error}).", "Write it again.") from error
    if bad := values.size - int(np.isfinite(values).sum()):
        raise DataError(f"{path} has {bad} voxel(s) that are NaN or infinite.", "Replace them, by 0 for example.")


def check_image(path: Path) -> None:
    """`check_complete` and `check_finite`."""
    check_complete(path)
    check_finite(path)


def faulty(paths: Iterable[Path], workers: int) -> list[str]:
    """The problem of every file that `check_image` refuses, in the order of `paths`."""

    def problem(path: Path) -> str:
        try:
            check_image(path)
        except DataError as error:
            return error.problem
        return ""

    with ThreadPoolExecutor(workers) as pool:  # decompression lets other threads run
        return [found for found in pool.map(problem, paths) if found]
