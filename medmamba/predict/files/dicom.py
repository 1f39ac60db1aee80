"""DICOM series: their slices in order, and what keeps a folder of slices from being one regular volume."""

import locale
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ...errors import DataError

_ENDINGS = (".dcm", ".ima", ".dicom")
_NO_IMAGE = {"RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "SR", "PR", "KO", "SEG", "REG", "FID"}
"""Modalities of objects that lie beside images and are none."""
_GAP = 0.01
"""Share of the slice distance by which single distances may differ."""
_ROUNDED = 0.1
"""Share of the slice distance by which slices may lie off a regular grid, as those with rounded positions do."""
_TILT = 0.5
"""Pixels by which the last slice may be shifted against the first."""
_TURN = 1e-3
"""Difference of direction cosines between slices that is more than rounding."""
_CONVERT = "Convert the series to NIfTI, for example with dcm2niix, and predict that."


@dataclass(frozen=True)
class Series:
    """The slices of one volume."""

    folder: Path
    files: tuple[str, ...]
    """In the order of their places along the slice axis."""
    shape: tuple[int, int, int]
    """(x, y, z)."""
    spacing: tuple[float, float, float]
    """mm, (x, y, z)."""
    several_scales: bool = False
    """Whether each slice has a rescale slope and intercept of its own, as in PET."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Slice:
    path: str
    size: tuple[int, ...]
    place: NDArray[np.float64]
    turn: NDArray[np.float64]
    """Direction cosines of the rows, then of the columns."""
    pixel: tuple[float, float]
    """mm, (x, y)."""
    scale: tuple[str, str]
    """Rescale intercept and slope."""
    frame: str
    """UID of the frame of reference."""


@contextmanager
def _keeping_locale() -> Iterator[None]:
    """GDCM sets the process to the locale C, after which Python takes text files for ASCII: put it back."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def holds_dicom(paths: Iterable[Path]) -> bool:
    """Whether one of some files is DICOM, by its mark or its ending."""
    return any(_is_dicom(path) for path in paths)


def _is_dicom(path: Path) -> bool:
    if path.name.startswith(".") or path.name == "DICOMDIR":
        return False
    if path.suffix.lower() in _ENDINGS:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def find_series(folder: Path) -> Series:
    """The one series of images in a folder, its slices checked by their headers; no pixel is read.

    Raises DataError where there is none or are several, where slices are missing, double, turned, of several sizes or
    frames of reference or shifted (gantry tilt), and for multi-frame files.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder with a DICOM series.", "Check the path.")
    for path in folder.iterdir():
        try:
            str(path).encode("utf-8")
        except UnicodeEncodeError as error:  # GDCM's readers would end the whole process
            raise DataError(f"The name {str(path)!a} is not UTF-8.", "Rename the file.") from error
    return _find_series(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=16)
@_keeping_locale()
def _find_series(folder: Path, changed: int) -> Series:
    """`find_series`, remembered while the folder stays as it is: the header is asked for before the image is read."""
    sitk.ProcessObject.GlobalWarningDisplayOff()  # what GDCM warns of on the terminal is judged here
    found = {}
    seen: set[str] = set()
    for identifier in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), identifier)
        seen.update(Path(name).name for name in names)
        header = _header(names[0])
        if _tag(header, "0008|0060") not in _NO_IMAGE:
            found[identifier] = names, header
    if not found:
        raise DataError(f"{folder} holds no DICOM image that can be read.", "Copy the series again.")
    if len(found) > 1:
        each = "; ".join(
            f"{Path(names[0]).name} and {len(names) - 1} more ({_tag(header, '0008|0060') or 'no modality'})"
            for names, header in found.values()
        )
        raise DataError(f"{folder} holds {len(found)} DICOM series: {each}.", "Put each into a folder of its own.")
    ((names, _),) = found.values()
    others = _passed_over(folder, seen, Path(names[0]))
    slices = [_slice(name) for name in names]
    series = _regular(folder, slices)
    return replace(series, warnings=(*series.warnings, *others))


def _passed_over(folder: Path, seen: set[str], first: Path) -> list[str]:
    """A warning for DICOM files that GDCM finds no image in. Those that say to be slices as `first` is are refused."""
    others = [path for path in sorted(folder.iterdir()) if path.name not in seen and path.is_file() and _is_dicom(path)]
    kind = _class(first)
    for path in others:
        if kind and _class(path) == kind:
            raise DataError(f"{path} is a slice of the series that cannot be read.", "Copy the series again.")
    shown = ", ".join(path.name for path in others[:3])
    return [f"{folder}: {len(others)} DICOM file(s) without an image were passed over: {shown}"] if others else []


def _class(path: Path) -> bytes:
    """The SOP class in the preamble of a DICOM file; nothing where there is none."""
    with path.open("rb") as file:
        head = file.read(1024)
    _, mark, rest = head.partition(b"\x02\x00\x02\x00UI")
    return rest[2 : 2 + int.from_bytes(rest[:2], "little")] if mark else b""


@_keeping_locale()
def read_series(series: Series) -> Any:
    """The SimpleITK image of a series, rescaled to its unit (HU). DataError where pixels cannot be decoded."""
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames(series.files)
    if series.several_scales:  # else ITK rounds all slices to the type of the first one
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise DataError(
            f"{series.folder} has a slice whose pixels cannot be decoded: {str(error).strip().splitlines()[-1]}",
            "Copy the series again, or store it uncompressed.",
        ) from error
    if image.GetSize() != series.shape:
        raise DataError(f"{series.folder} is read as {image.GetSize()}, its headers say {series.shape}.", _CONVERT)
    return image


def _header(name: str) -> Any:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(name)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{name} is no DICOM image that can be read.", "Copy the series again.") from error
    return reader


def _tag(header: Any, tag: str) -> str:
    return header.GetMetaData(tag).strip("\0 ") if header.HasMetaDataKey(tag) else ""


def _numbers(header: Any, tag: str, count: int, name: str, path: str) -> NDArray[np.float64]:
    try:
        values = np.array([float(part) for part in _tag(header, tag).split("\\")])
    except ValueError:
        values = np.array([])
    if len(values) != count or not np.isfinite(values).all():
        raise DataError(f"{path} has no {name} ({tag.replace('|', ',')}).", f"Is it a volume's slice? {_CONVERT}")
    return values


def _slice(path: str) -> _Slice:
    header = _header(path)
    size = header.GetSize()
    if len(size) > 2 and math.prod(size[2:]) > 1:
        raise DataError(f"{path} is a multi-frame DICOM file ({size[2]} frames).", _CONVERT)
    if header.GetNumberOfComponents() > 1:
        raise DataError(f"{path} is a DICOM picture in colour.", "Give a series with one number a voxel.")
    place = _numbers(header, "0020|0032", 3, "image position", path)
    turn = _numbers(header, "0020|0037", 6, "image orientation", path)
    spacing = header.GetSpacing()
    if not min(spacing[:2]) > 0:
        raise DataError(f"{path} has a pixel spacing of zero.", "Find the true pixel size and write it into the file.")
    scale, frame = (_tag(header, "0028|1052"), _tag(header, "0028|1053")), _tag(header, "0020|0052")
    return _Slice(path, size[:2], place, turn, spacing[:2], scale, frame)


def _regular(folder: Path, slices: list[_Slice]) -> Series:
    """A series of slices which make one grid. Raises DataError where they do not."""
    first = slices[0]
    for one in slices[1:]:
        name = Path(one.path).name
        if one.frame != first.frame:
            raise DataError(
                f"{folder} has slices of several frames of reference: {name} and {Path(first.path).name}.",
                "Their places cannot be compared: put each examination into a folder of its own.",
            )
        if one.size != first.size or not np.allclose(one.pixel, first.pixel, 1e-4):
            raise DataError(f"{folder} has slices of several sizes: {name} and {Path(first.path).name}.", _CONVERT)
        if np.abs(one.turn - first.turn).max() > _TURN:
            raise DataError(
                f"{folder} has slices of several orientations: {name} is turned against {Path(first.path).name}.",
                "Take localisers out, and put each stack into a folder of its own.",
            )
    normal = np.cross(first.turn[:3], first.turn[3:])
    if not abs(np.linalg.norm(normal) - 1) < 1e-2:
        raise DataError(f"{first.path} has an image orientation that is no rotation.", _CONVERT)
    slices = sorted(slices, key=lambda one: float(one.place @ normal))  # GDCM's order, unless two are at one place
    warnings: list[str] = []
    distance = _header(first.path).GetSpacing()[-1] if len(slices) == 1 else _distance(folder, slices, normal, warnings)
    shape = (first.size[0], first.size[1], len(slices))
    if len(slices) == 1:
        warnings.append(f"{folder} holds one slice: is the series whole?")
    scales = len({one.scale for one in slices}) > 1
    names = tuple(one.path for one in slices)
    return Series(folder, names, shape, (*first.pixel, distance), scales, tuple(warnings))


def _distance(folder: Path, slices: list[_Slice], normal: NDArray[np.float64], warnings: list[str]) -> float:
    """mm between slices, which have to be evenly apart and straight above one another."""
    along = np.array([one.place @ normal for one in slices])
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    names = [Path(one.path).name for one in slices]
    if (double := np.flatnonzero(np.abs(gaps) <= max(1e-4, _GAP * abs(usual)))).size:
        which = f"{names[double[0]]} and {names[double[0] + 1]}"
        raise DataError(f"{folder} has two slices at one place: {which}.", "Remove one, or split the series.")
    uneven = np.abs(gaps - usual) > _GAP * abs(usual)
    if uneven.any():
        worst = int(np.abs(gaps - usual).argmax())
        text = f"{gaps[worst]:.4g} mm between {names[worst]} and {names[worst + 1]}, {usual:.4g} mm elsewhere"
        even = np.linspace(along[0], along[-1], len(along))
        if np.abs(along - even).max() > _ROUNDED * abs(usual):
            raise DataError(
                f"{folder} has slices missing or unevenly apart: {text}.",
                "Copy the whole series again.",
            )
        warnings.append(f"{folder}: slice positions are rounded ({text}); taken for even.")
    path = slices[-1].place - slices[0].place
    shift = path - (path @ normal) * normal
    if np.linalg.norm(shift) > _TILT * min(slices[0].pixel):
        angle = math.degrees(math.atan2(float(np.linalg.norm(shift)), abs(float(path @ normal))))
        raise DataError(f"{folder} was taken with a tilted gantry ({angle:.1f} degrees).", f"Straighten it. {_CONVERT}")
    return abs(float(along[-1] - along[0])) / (len(slices) - 1)
