"""The slices that a segmentation refers to: what it takes over from them, and what they have to have for that."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from .extra import quiet, require

_IDENTIFIERS = {
    "SOPClassUID": "SOP class UID",
    "SOPInstanceUID": "SOP instance UID",
    "StudyInstanceUID": "study instance UID",
    "SeriesInstanceUID": "series instance UID",
    "FrameOfReferenceUID": "frame of reference UID",
}
"""Without which there is nothing to refer to, or to lie in."""
_COMMON = {
    "StudyInstanceUID": "studies",
    "SeriesInstanceUID": "series",
    "FrameOfReferenceUID": "frames of reference",
    "PatientID": "patients",
}
"""What all slices have to have alike."""
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""What a segmentation has to have, if without a value: where the images lack it, it stays empty."""
_REMEDY = "Leave --output-format away: NIfTI label maps refer to nothing. Or get the series as the archive has it."


def check_source(files: Sequence[str | Path]) -> None:
    """Raise DataError, without any value of the files, when no segmentation can refer to these slices.

    SetupError without the extra. Only the identifiers are read.
    """
    _, pydicom = require()
    with quiet():
        _check(files, [_read(pydicom, file, [*_IDENTIFIERS, *_COMMON]) for file in files])


def read_source(files: Sequence[str | Path]) -> list[Any]:
    """The headers (pydicom's data sets without pixels) of a series' slices, in the order given, made fit to refer to.

    Raises as `check_source` does.
    """
    _, pydicom = require()
    with quiet():
        slices = [_read(pydicom, file) for file in files]
        _check(files, slices)
        distance = _distance(slices)
        for one in slices:
            for name in _MAY_BE_EMPTY:
                if name not in one:
                    setattr(one, name, None)
            if one.get("SliceThickness") in (None, ""):
                one.SliceThickness = distance
            one.SpacingBetweenSlices = distance  # what scanners write there is often something else
    return slices


def _read(pydicom: Any, file: str | Path, only: list[str] | None = None) -> Any:
    try:
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=only)
    except Exception as error:  # pydicom raises whatever damaged bytes lead it to
        raise DataError(f"{file} is no DICOM file that can be read.", "Copy the series again.") from error


def _check(files: Sequence[str | Path], slices: Sequence[Any]) -> None:
    folder = Path(files[0]).parent
    for file, one in zip(files, slices, strict=True):
        for name, words in _IDENTIFIERS.items():
            if not one.get(name):
                problem = f"{file} has no {words}, so that no DICOM segmentation can refer to it."
                raise DataError(problem, _REMEDY)
    for name, words in _COMMON.items():
        if len({str(one.get(name, "")) for one in slices}) > 1:
            problem = f"{folder} has slices of several {words}."
            raise DataError(problem, "Put each into a folder of its own.")
    if len({str(one.SOPInstanceUID) for one in slices}) < len(slices):
        raise DataError(f"{folder} has two slices with one SOP instance UID.", _REMEDY)


def _distance(slices: Sequence[Any]) -> float:
    """mm between slices; of a single one its thickness."""
    if len(slices) == 1:
        return float(slices[0].get("SpacingBetweenSlices") or slices[0].get("SliceThickness") or 1.0)
    first, last = ([float(one) for one in end.ImagePositionPatient] for end in (slices[0], slices[-1]))
    length = sum((b - a) ** 2 for a, b in zip(first, last, strict=True)) ** 0.5
    return round(length / (len(slices) - 1), 10)
