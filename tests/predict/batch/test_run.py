"""Batches: order, overlap, failures, what is kept, being stopped and being killed."""

import json
import multiprocessing
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import ConfigError
from medmamba.predict.batch import run as batch
from medmamba.predict.batch.failures import BatchError
from medmamba.predict.batch.report import CaseReport, Report
from medmamba.predict.files.cases import Case, find_cases
from medmamba.stopping import StoppedError
from tests.predict.fakes import RECIPE, TILES, FakePredictor, write_images

NAMES = [f"case{number}" for number in range(5)]


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    write_images(tmp_path / "images", NAMES)
    return find_cases(tmp_path / "images", RECIPE)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def labels_of(folder: Path) -> dict[str, bytes]:
    """Every output by name; the report, which has times in it, is none."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("predict_report")}


def report_of(folder: Path) -> Any:
    return json.loads((folder / "predict_report.json").read_text())


def test_every_case_is_written_and_reported(cases: list[Case], out: Path) -> None:
    outcome = batch.run(FakePredictor(), cases, out)
    assert [file.name for file in outcome.written] == [f"{name}.nii.gz" for name in NAMES]
    assert set(labels_of(out)) == {"plans.json", "dataset.json", *(f"{name}.nii.gz" for name in NAMES)}
    report = report_of(out)
    assert report["ended"] == "finished" and report["model"]["digest"] == "sha256:00"
    assert report["how"]["reason"] == "there is no network" and report["software"]["torch"]
    assert {name: report["totals"][name] for name in ("cases", "done", "failed", "left")} == {
        "cases": 5, "done": 5, "failed": 0, "left": 0,
    }  # fmt: skip
    one = report["cases"][0]
    assert one["labels"] == [1, 2] and one["seconds"] == {"read": 0.1, "network": 0.2}
    assert 2**20 < one["peak_memory"] < 2**40


@pytest.mark.parametrize(("jobs", "room"), [(0, True), (1, True), (2, True), (2, False)])
def test_the_next_case_is_prepared_meanwhile(cases: list[Case], out: Path, jobs: int, room: bool) -> None:
    predictor = FakePredictor(0.06, room)
    batch.run(predictor, cases, out, jobs=jobs)
    assert predictor.told == NAMES
    assert sorted(name for _, name in predictor.together) == NAMES
    distance = [NAMES.index(name) - NAMES.index(busy) for busy, name in predictor.together if busy is not None]
    if jobs and room:
        assert set(distance) <= set(range(1, jobs + 1)) and len(distance) >= 3
    else:
        assert distance == []


def test_bad_cases_do_not_stop_the_others(cases: list[Case], out: Path) -> None:
    cases[1].files[0].write_bytes(b"no image")
    cases[3].files[0].write_bytes(cases[3].files[0].read_bytes()[:-50])
    with pytest.raises(BatchError, match=r"2 of 5 cases failed: case1: .*case3: ") as caught:
        batch.run(FakePredictor(), cases, out)
    assert caught.value.exit_code == 6
    assert [path.name for path in caught.value.written] == ["case0.nii.gz", "case2.nii.gz", "case4.nii.gz"]
    report = report_of(out)
    assert [case["status"] for case in report["cases"]] == ["done", "failed", "done", "failed", "done"]
    assert str(cases[1].files[0]) in report["cases"][1]["error"]


def test_a_failure_while_writing_names_the_output_and_leaves_nothing(
    cases: list[Case], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(labels: Any, geometry: Any, file: Path, *rest: Any) -> None:
        file.write_bytes(b"half")
        raise OSError(f"{file} could not be written")

    monkeypatch.setattr("tests.predict.fakes.write_labels", broken)
    with pytest.raises(BatchError) as caught:
        batch.run(FakePredictor(), cases[:1], out)
    assert caught.value.failures == {"case0": f"{out}/case0.nii.gz could not be written"}
    assert sorted(path.name for path in out.iterdir()) == ["dataset.json", "plans.json", "predict_report.json"]


def test_a_folder_in_the_place_of_a_file_is_told_in_a_sentence(cases: list[Case], out: Path) -> None:
    for name in ("case1.nii.gz", "case2.npz", "plans.json", "predict_report.json"):
        (out / name).mkdir(parents=True)
    said: list[str] = []

    class Hears(batch.Watcher):
        def message(self, text: str) -> None:
            said.append(text)

    predictor = FakePredictor()
    with pytest.raises(BatchError) as caught:
        batch.run(predictor, cases, out, save_probabilities=True, watcher=Hears())
    assert caught.value.failures == {
        name: f"{out}/{file} is a folder: no file can take its place. Move it, or choose another --output"
        for name, file in (("case1", "case1.nii.gz"), ("case2", "case2.npz"))
    }
    assert "case1" not in predictor.told, "the network is not asked in vain"
    assert len(said) == 2 and all("is a folder: no file" in text for text in said)
    assert len(list(out.glob("*.pkl"))) == 3 and not list(out.glob(".*"))


def test_only_complete_outputs_are_kept(cases: list[Case], out: Path) -> None:
    batch.run(FakePredictor(), cases, out, save_probabilities=True)
    wanted = labels_of(out)
    assert len(wanted) == 17
    (out / "case0.nii.gz").write_bytes(wanted["case0.nii.gz"][:-4])
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 3, 3), np.uint8)), str(out / "case1.nii.gz"))
    (out / "case2.npz").write_bytes(wanted["case2.npz"][:-4])
    (out / "case3.pkl").unlink()
    predictor = FakePredictor()
    batch.run(predictor, cases, out, resume=True, save_probabilities=True)
    assert predictor.told == NAMES[:4]
    assert labels_of(out) == wanted
    assert [case["status"] for case in report_of(out)["cases"]] == ["done"] * 4 + ["kept"]
    assert report_of(out)["cases"][4]["labels"] == [1, 2]


def test_without_resume_everything_is_made_again(cases: list[Case], out: Path) -> None:
    out.mkdir()
    (out / "case0.nii.gz").write_bytes(b"old")
    predictor = FakePredictor()
    batch.run(predictor, cases, out)
    batch.run(predictor, cases, out)
    assert predictor.told == NAMES * 2


@pytest.mark.parametrize("changes", [{"digest": "sha256:11"}, {"roi": ["core"]}])
def test_outputs_of_another_model_or_settings_are_made_again(
    cases: list[Case], out: Path, changes: dict[str, Any]
) -> None:
    batch.run(FakePredictor(), cases, out)
    predictor = FakePredictor(digest=changes.get("digest", "sha256:00"))
    batch.run(predictor, cases, out, resume=True, roi=changes.get("roi"))
    assert predictor.told == NAMES


def test_outputs_without_a_report_are_trusted_if_complete(cases: list[Case], out: Path) -> None:
    batch.run(FakePredictor(), cases, out)
    (out / "predict_report.json").unlink()
    predictor = FakePredictor()
    batch.run(predictor, cases, out, resume=True)
    assert predictor.told == []


def test_wishes_that_the_model_cannot_meet(cases: list[Case], out: Path) -> None:
    with pytest.raises(ConfigError, match="no label liver"):
        batch.run(FakePredictor(), cases, out, roi=["liver"])
    with pytest.raises(ConfigError, match=r"has no label_map\.json"):
        batch.run(FakePredictor(), cases, out, raw_labels=True)
    assert not out.exists()


def test_images_are_not_replaced(cases: list[Case], tmp_path: Path) -> None:
    image = cases[0].files[0].rename(tmp_path / "images/a.nii.gz")
    before = image.read_bytes()
    with pytest.raises(ConfigError, match="would replace the image"):
        batch.run(FakePredictor(), find_cases(image, RECIPE), tmp_path / "images")
    assert image.read_bytes() == before


def test_only_some_labels(cases: list[Case], out: Path) -> None:
    batch.run(FakePredictor(), cases[:1], out, roi=["core"])
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(out / "case0.nii.gz"))))) == {0, 2}


class Stops(batch.Watcher):
    """Sends a signal at one place."""

    def __init__(self, place: tuple[str, int], number: int) -> None:
        self.place, self.number, self.name, self.ended = place, number, "", False

    def case(self, name: str) -> None:
        self.name = name

    def tile(self, done: int, total: int) -> None:
        if (self.name, done) == self.place:
            signal.raise_signal(self.number)

    def end(self, report: Report) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("number", "tile", "done"),
    [(signal.SIGTERM, 1, 2), (signal.SIGTERM, TILES, 3), (signal.SIGINT, 2, 2)],
    ids=["in the network", "before the writing", "keyboard"],
)
def test_a_signal_ends_the_batch_at_a_good_place(
    cases: list[Case], out: Path, number: int, tile: int, done: int
) -> None:
    watcher = Stops(("case2", tile), number)
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match=rf"{done} of 5 cases are done\. .*--resume") as caught:
        batch.run(FakePredictor(), cases, out, watcher=watcher)
    assert caught.value.exit_code == 128 + number and watcher.ended
    assert signal.getsignal(number) == before
    report = report_of(out)
    assert report["ended"] == signal.Signals(number).name and report["totals"]["left"] == 5 - done
    assert not list(out.glob(".*")) and len(list(out.glob("*.nii.gz"))) == done
    predictor = FakePredictor()
    batch.run(predictor, cases, out, resume=True)
    assert predictor.told == NAMES[done:]


def test_a_second_ctrl_c_ends_it_at_once(cases: list[Case], out: Path) -> None:
    predictor = FakePredictor()

    def twice(case: str, tile: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    predictor.on_tile = twice
    with pytest.raises(KeyboardInterrupt):
        batch.run(predictor, cases, out)
    assert not list(out.glob(".*")) and not list(out.glob("*.nii.gz"))


def test_parts_work_side_by_side(cases: list[Case], out: Path) -> None:
    def part(number: int) -> None:
        batch.run(FakePredictor(0.02), cases, out, num_parts=2, part_id=number)

    threads = [threading.Thread(target=part, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(out.glob("*.nii.gz"))) == 5
    reports = [json.loads((out / f"predict_report_part{number}of2.json").read_text()) for number in range(2)]
    assert [[case["case"] for case in report["cases"]] for report in reports] == [NAMES[::2], NAMES[1::2]]
    predictor = FakePredictor()
    batch.run(predictor, cases, out, resume=True)  # the parts' reports speak for their outputs
    assert predictor.told == []


def test_a_run_killed_early_takes_nothing_from_the_next(cases: list[Case], out: Path) -> None:
    batch.run(FakePredictor(), cases, out)

    class Dies(batch.Watcher):
        def done(self, case: CaseReport, report: Report) -> None:
            raise SystemError

    with pytest.raises(SystemError):
        batch.run(FakePredictor(), cases, out, resume=True, watcher=Dies())
    predictor = FakePredictor()
    batch.run(predictor, cases, out, resume=True)
    assert predictor.told == []


def child(images: Path, output: Path) -> None:
    """A process that segments slowly, and goes on where another one was killed."""
    batch.run(FakePredictor(0.1), find_cases(images, RECIPE), output, resume=True, save_probabilities=True)


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that start quickly: a server has imported everything and forks them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.predict.batch.test_run"])
    return context


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_and_resumed_equals_undisturbed(tmp_path: Path, processes: Any, kills: int) -> None:
    images, killed = tmp_path / "images", tmp_path / "killed"
    write_images(images, [f"case{number:02}" for number in range(4 * kills)], (20, 30, 30))
    batch.run(FakePredictor(), find_cases(images, RECIPE), tmp_path / "calm", save_probabilities=True)
    wait = random.Random(kills)
    codes = []
    for kill in range(kills + 1):
        process = processes.Process(target=child, args=(images, killed))
        process.start()
        if kill < kills:
            until = time.monotonic() + 30
            while not killed.exists() and time.monotonic() < until:
                time.sleep(0.01)
            process.join(wait.uniform(0.01, 0.3))
            process.kill()
        process.join()
        codes.append(process.exitcode)
    assert codes.count(-signal.SIGKILL) > kills // 2 and codes[-1] == 0
    assert not list(killed.glob(".*"))
    assert labels_of(killed) == labels_of(tmp_path / "calm")


def test_dicom_segmentations_of_a_batch(tmp_path: Path) -> None:
    """Series become segmentations, a bad one is a sentence before the network sees it, and complete ones are kept."""
    pytest.importorskip("highdicom")
    from tests.dicom.made import write_series

    def nowhere(number: int, one: Any) -> None:
        one.FrameOfReferenceUID = ""

    write_series(tmp_path / "series/a")
    write_series(tmp_path / "series/b", change=nowhere)
    cases, fake = find_cases(tmp_path / "series", RECIPE), FakePredictor()
    for status in ("done", "kept"):
        with pytest.raises(BatchError) as caught:
            batch.run(fake, cases, tmp_path / "out", output_format="dicom-seg", resume=True)
        assert list(caught.value.failures) == ["b"] and "no frame of reference" in caught.value.failures["b"]
        report = json.loads((tmp_path / "out/predict_report.json").read_text())
        assert (report["cases"][0]["status"], report["cases"][0]["output"]) == (status, "a.dcm")
    assert fake.told == ["a"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.*")) == [
        "a.dcm", "dataset.json", "plans.json", "predict_report.json",
    ]  # fmt: skip
    whole = (tmp_path / "out/a.dcm").read_bytes()
    (tmp_path / "out/a.dcm").write_bytes(whole[:-30])
    with pytest.raises(BatchError):
        batch.run(fake, cases, tmp_path / "out", output_format="dicom-seg", resume=True)
    assert fake.told == ["a", "a"]
