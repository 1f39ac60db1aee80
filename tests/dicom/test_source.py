from pathlib import Path
from typing import Any

import pytest

pydicom = pytest.importorskip("pydicom")

from medmamba.dicom.source import check_source, read_source  # noqa: E402
from medmamba.errors import DataError  # noqa: E402
from medmamba.predict.files.dicom import find_series  # noqa: E402
from tests.dicom.made import CANARY, write_series  # noqa: E402


def only(number: int, **values: Any):
    """Change one slice."""
    return lambda at, one: [setattr(one, name, value) for name, value in values.items()] if at == number else None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (only(2, SOPInstanceUID=""), "no SOP instance UID, so that no DICOM segmentation can refer to it"),
        (only(2, FrameOfReferenceUID=""), "no frame of reference UID"),
        (only(2, FrameOfReferenceUID="1.9"), "slices of several frames of reference"),
        (only(2, PatientID=f"{CANARY}-7"), "slices of several patients"),
        (only(2, SOPInstanceUID="1.2.3.4.1"), "two slices with one SOP instance UID"),
    ],
)
def test_what_nothing_can_refer_to_is_refused_without_its_values(tmp_path: Path, change: Any, sentence: str) -> None:
    files = sorted(write_series(tmp_path, change=change).iterdir())
    for refuse in (check_source, read_source):
        with pytest.raises(DataError, match=sentence) as caught:
            refuse(files)
        assert CANARY not in str(caught.value) and caught.value.remedy


def test_a_file_that_is_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"none")
    with pytest.raises(DataError, match=r"a\.dcm is no DICOM file"):
        check_source([tmp_path / "a.dcm"])


def test_what_the_images_lack_stays_empty_and_distances_are_true(tmp_path: Path) -> None:
    def bare(number: int, one: Any) -> None:
        del one.PatientName, one.SliceThickness
        one.SpacingBetweenSlices = 77

    first, *_ = read_source(find_series(write_series(tmp_path, change=bare)).files)
    assert first.PatientName is None or first.PatientName == ""
    assert "PatientBirthDate" in first and not first.PatientBirthDate
    assert float(first.SliceThickness) == float(first.SpacingBetweenSlices) == pytest.approx(3.0)
    assert "PixelData" not in first


def test_real_series(shared_data: Path) -> None:
    check_source(find_series(shared_data / "dicom" / "mr_hippocrop_Study1").files)
    with pytest.raises(DataError, match="no SOP class UID"):  # it was made anonymous by emptying its identifiers
        check_source(find_series(shared_data / "dicom" / "ct_body_20slices").files)
