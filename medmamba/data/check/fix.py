"""Rounding in headers mended: a label or channel gets the geometry of channel 0, its voxels stay byte for byte."""

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import SimpleITK as sitk

from ...files import read_json, replacing, write_json
from . import nifti as check_nifti
from .file import UnusableError
from .findings import CheckReport, Rounding
from .geometry import difference
from .image import NIFTI, examine

RECORD = "fixed_geometry.json"
"""Beside dataset.json: what was changed, by how much, and the header fields as they were."""
_PLACES = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
_ROWS = ("srow_x", "srow_y", "srow_z")


@dataclass(frozen=True)
class Refusal:
    """A file that was left as it was."""

    file: Path
    text: str


def fix_geometry(report: CheckReport) -> tuple[tuple[Rounding, ...], tuple[Refusal, ...]]:
    """Write channel 0's geometry into every file that differs from it by rounding; return what changed and what not.

    Each file is written anew under another name and takes its place by renaming: a source that it is a hard or symbolic
    link of keeps its content. A file outside the dataset's folder is left alone. `RECORD` keeps the old header fields.
    """
    changed: list[Rounding] = []
    refused: list[Refusal] = []
    for rounding in report.roundings:
        try:
            _allowed(rounding, report.folder)
            _rewrite(rounding, report.folder)
            changed.append(rounding)
        except (OSError, UnusableError, RuntimeError) as error:
            refused.append(Refusal(rounding.file, f"{getattr(error, 'strerror', None) or error}."))
    return tuple(changed), tuple(refused)


def _allowed(rounding: Rounding, folder: Path) -> None:
    place = rounding.file.parent.resolve()
    if folder.resolve() not in (place, *place.parents):
        raise UnusableError("", f"Lies in {place}, outside the dataset's folder")


def _rewrite(rounding: Rounding, folder: Path) -> None:
    """Replace one file. What it said before is on the record before it is gone."""
    file, reference = rounding.file, rounding.reference
    if file.name.endswith(NIFTI) != reference.name.endswith(NIFTI):
        raise UnusableError("", f"Is of another format than {reference.name}")
    with replacing(file) as temporary:
        before = (_rewrite_nifti if file.name.endswith(NIFTI) else _rewrite_itk)(file, reference, temporary)
        shutil.copymode(file, temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        _record(folder, rounding, before)


def _rewrite_nifti(file: Path, reference: Path, target: Path) -> dict[str, Any]:
    """Copy a NIfTI file with other geometry in its header; extensions and voxels pass through as bytes."""
    with _opened(reference, "rb") as stream:
        wanted = _header(stream)
    with _opened(file, "rb") as source, _opened(target, "wb") as copy:
        header = _header(source)
        before = {name: header[name].tolist() for name in (*_PLACES, *_ROWS, "pixdim")}
        for name in (*_PLACES, *_ROWS):
            header[name] = wanted[name]
        header["pixdim"][:4] = wanted["pixdim"][:4]
        copy.write(header.binaryblock)
        shutil.copyfileobj(source, copy, 2**20)
    if difference(check_nifti.read_geometry(reference), check_nifti.read_geometry(target)).noted:
        raise UnusableError("", "Would still differ afterwards: the header cannot hold the geometry")
    return before


def _header(stream: BinaryIO) -> Any:
    """The header at the start of a stream, which is left right behind it."""
    kinds = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
    start = stream.read(4)
    size = next(size for order in ("little", "big") if (size := int.from_bytes(start, cast(Any, order))) in kinds)
    return kinds[size](start + stream.read(size - 4), check=False)


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[BinaryIO]:
    if path.suffix != ".gz":
        with open(path, mode) as raw:
            yield cast(BinaryIO, raw)
        return
    with open(path, mode) as raw, gzip.GzipFile("", mode, 6, cast(Any, raw), mtime=0) as stream:
        yield cast(BinaryIO, stream)


def _rewrite_itk(file: Path, reference: Path, target: Path) -> dict[str, Any]:
    image, wanted = sitk.ReadImage(str(file)), sitk.ReadImage(str(reference))
    before = {"spacing": image.GetSpacing(), "origin": image.GetOrigin(), "direction": image.GetDirection()}
    image.CopyInformation(wanted)
    sitk.WriteImage(image, str(target), useCompression=file.suffix != ".gipl")
    # ITK does not notice a full disk
    written, read = examine(target, "image").values, examine(file, "image").values
    if written is None or read is None or written.digest != read.digest:
        raise UnusableError("", "Could not be written whole; is the disk full?")
    return before


def _record(folder: Path, rounding: Rounding, before: dict[str, Any]) -> None:
    path = folder / RECORD
    record = read_json(path) if path.is_file() else {"fixed": []}
    record["fixed"].append(
        {
            "file": os.path.relpath(rounding.file, folder),
            "reference": os.path.relpath(rounding.reference, folder),
            "voxels": rounding.voxels,
            "millimetres": rounding.millimetres,
            "before": before,
        }
    )
    write_json(path, record)
