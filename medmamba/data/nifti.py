"""NIfTI files rewritten with every field of the header that says where the voxels lie, as it was."""

import gzip
import shutil
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from ..errors import DataError
from .integrity import check_complete

ENDINGS = (".nii.gz", ".nii")


def is_nifti(path: Path) -> bool:
    """By its ending."""
    return path.name.lower().endswith(ENDINGS)


def load(path: Path) -> Any:
    """The nibabel image in a file, its voxels still on disk. DataError when it is none."""
    try:
        return nibabel.load(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", "Check the download.") from error
    except (ImageFileError, EOFError, OSError, ValueError, zlib.error) as error:
        check_complete(path)
        raise DataError(f"{path} is no NIfTI image.", "Download it again.") from error


def voxels(image: Any, path: Path) -> NDArray[Any]:
    """The voxels of `load(path)` as numbers. DataError when the file is truncated or damaged."""
    try:
        return np.asanyarray(image.dataobj)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged ({error}).", "Download it again.") from error


def write_like(labels: NDArray[Any], image: Any, target: Path) -> None:
    """Write an array of the image's shape with the image's header; only the data type follows the array."""
    header = image.header.copy()
    header.set_data_dtype(labels.dtype)
    header["cal_min"] = header["cal_max"] = 0
    nibabel.save(type(image)(labels, None, header), target)


def recompress(source: Path, target: Path) -> None:
    """Pack or unpack a NIfTI file, byte for byte the same inside. DataError when the source is damaged."""
    try:
        with source.open("rb") as raw, gzip.open(raw) if source.suffix.lower() == ".gz" else raw as reader:
            if target.suffix != ".gz":
                with target.open("wb") as plain:
                    shutil.copyfileobj(reader, plain, 2**20)
                return
            with target.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                shutil.copyfileobj(reader, packed, 2**20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{source} is truncated or damaged ({error}).", "Download it again.") from error


def split_time(source: Path, targets: tuple[Path, ...]) -> None:
    """Write each time point of a 4-D file as a file of its own, with the stored numbers and scaling unchanged.

    DataError when the file does not hold one 3-D image for each target.
    """
    image = load(source)
    if image.ndim != 4 or image.shape[3] != len(targets):
        problem = f"{source} has the shape {'x'.join(map(str, image.shape))}, not four dimensions with {len(targets)}"
        raise DataError(f"{problem} channels in the last.", "Check the download and the card's channels.")
    try:
        stored = np.asanyarray(image.dataobj.get_unscaled())
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(f"{source} is truncated or damaged ({error}).", "Download it again.") from error
    for time, target in enumerate(targets):
        header = image.header.copy()
        header.set_data_shape(image.shape[:3])
        header["pixdim"][4:] = 0
        part = type(image)(stored[..., time], None, header)
        part.header.set_slope_inter(image.dataobj.slope, image.dataobj.inter)  # the constructor forgets them
        nibabel.save(part, target)
