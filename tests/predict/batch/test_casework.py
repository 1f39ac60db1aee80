"""One case of a batch: what is wished for it, what becomes of it, and that nothing escapes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import ConfigError
from medmamba.predict.batch.casework import CaseWork, InterruptedCaseError, Ready, Wanted
from medmamba.predict.batch.outputs import Staging, staging
from medmamba.predict.batch.report import CaseReport
from medmamba.predict.files.cases import Case, find_cases
from medmamba.stopping import StopRequest
from tests.predict.fakes import RECIPE, TILES, FakePredictor, model, write_images

Made = tuple[FakePredictor, Staging, StopRequest]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    write_images(tmp_path / "images", ["a"])
    return find_cases(tmp_path / "images", RECIPE)[0]


@pytest.fixture
def made(tmp_path: Path) -> Any:
    with staging(tmp_path / "out") as place:
        yield FakePredictor(), place, StopRequest()


def silent(done: int, total: int) -> None:
    pass


def test_a_case_goes_from_its_file_to_its_label_map(case: Case, made: Made) -> None:
    predictor, place, stop = made
    work = CaseWork(predictor, place, Wanted(probabilities=True, roi=frozenset({2})), stop)
    ready = work.prepare(case)
    assert ready.report is None and not list(place.output.glob("a.*"))
    tiles: list[tuple[int, int]] = []
    report = work.finish(ready, lambda *tile: tiles.append(tile))
    assert (report.case, report.status, report.output) == ("a", "done", "a.nii.gz")
    assert report.seconds == {"read": 0.1, "network": 0.2} and report.peak_memory and report.error is None
    assert tiles == [(tile, TILES) for tile in range(1, TILES + 1)]
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(place.output / "a.nii.gz")))
    assert set(np.unique(written)) == {0, 2}
    assert {file.name for file in place.output.glob("a.*")} == {"a.nii.gz", "a.npz", "a.pkl"}


def test_a_bad_file_is_a_report_and_no_error(case: Case, made: Made) -> None:
    case.files[0].write_bytes(b"no image")
    ready = CaseWork(*made[:2], Wanted(), made[2]).prepare(case)
    assert ready.report is not None and ready.report.status == "failed"
    assert str(case.files[0]) in str(ready.report.error)
    assert CaseWork(*made[:2], Wanted(), made[2]).finish(ready, silent) is ready.report


def test_a_full_disk_is_told_before_the_image_is_read(case: Case, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba.runtime.free_disk", lambda folder: 2**20 + 100)
    predictor, place, stop = made
    ready = CaseWork(predictor, place, Wanted(probabilities=True), stop).prepare(case)
    assert "MB left" in str(ready.report and ready.report.error) and predictor.together == []
    assert CaseWork(predictor, place, Wanted(), stop).prepare(case).report is None


@pytest.mark.parametrize("error", [RuntimeError("it broke"), MemoryError(), AssertionError("odd")])
def test_whatever_breaks_in_the_network_leaves_nothing(error: Exception, case: Case, made: Made) -> None:
    predictor, place, stop = made

    def fail(case: str, tile: int) -> None:
        raise error

    predictor.on_tile = fail
    work = CaseWork(predictor, place, Wanted(), stop)
    report = work.finish(work.prepare(case), silent)
    assert report.status == "failed" and report.error and report.peak_memory
    assert not list(place.output.glob("a*")) and len(list(place.folder.iterdir())) == 1  # the lock


@pytest.mark.parametrize(("tile", "written"), [(1, False), (TILES, True)])
def test_a_request_to_stop_leaves_the_case_unless_its_tiles_are_done(
    tile: int, written: bool, case: Case, made: Made
) -> None:
    predictor, place, stop = made
    predictor.on_tile = lambda name, done: setattr(stop, "number", 15 if done == tile else stop.number)
    work = CaseWork(predictor, place, Wanted(), stop)
    ready = work.prepare(case)
    if written:
        assert work.finish(ready, silent).status == "done"
    else:
        with pytest.raises(InterruptedCaseError):
            work.finish(ready, silent)
    assert (place.output / "a.nii.gz").exists() == written


def test_what_was_decided_before_is_handed_on(case: Case, made: Made) -> None:
    kept = CaseReport("a", "kept", "a.nii.gz")
    assert CaseWork(*made[:2], Wanted(), made[2]).finish(Ready(case, report=kept), silent) is kept


def test_wishes_are_checked_against_the_model() -> None:
    mapped = model(label_map={"labels": {"0": 0, "1": 10, "2": 20}})
    assert Wanted.of(mapped, True, ["core", "1"], True) == Wanted(True, frozenset({1, 2}), True)
    assert Wanted.of(model(), False, None, False) == Wanted()
    with pytest.raises(ConfigError, match="no label liver"):
        Wanted.of(model(), False, ["liver"], False)
    with pytest.raises(ConfigError, match=r"no label_map\.json"):
        Wanted.of(model(), False, None, True)
