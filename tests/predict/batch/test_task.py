"""What a batch is before its first case and after its last."""

from pathlib import Path
from typing import Any

import pytest

from medmamba.errors import ConfigError
from medmamba.predict.batch.book import Watcher
from medmamba.predict.batch.failures import BatchError
from medmamba.predict.batch.outputs import staging
from medmamba.predict.batch.report import CaseReport, Report
from medmamba.predict.batch.task import Task
from medmamba.predict.files.cases import find_cases
from medmamba.stopping import StoppedError, StopRequest
from tests.predict.fakes import RECIPE, model, write_images

WISHES: dict[str, Any] = {
    "resume": False, "save_probabilities": False, "num_parts": 1, "part_id": 0, "roi": None, "raw_labels": False,
}  # fmt: skip


def made(folder: Path, **wishes: Any) -> Task:
    write_images(folder / "images", ["a", "b", "c"])
    return Task.of(model(), find_cases(folder / "images", RECIPE), folder / "out", **{**WISHES, **wishes})


def test_a_part_has_its_cases_and_its_own_report(tmp_path: Path) -> None:
    task = made(tmp_path, num_parts=2, part_id=1, roi=["core"])
    assert [case.name for case in task.cases] == ["b"] and task.wanted.roi == {2}
    heard: list[Report] = []

    class Hears(Watcher):
        def start(self, report: Report) -> None:
            heard.append(report)

    with staging(tmp_path / "out") as place:
        book, kept = task.begin(place, {"device": "cpu", "step_size": 0.5}, Hears())
        assert kept(task.cases[0]) is None
    assert book.file.name == "predict_report_part1of2.json" and book.file.is_file()
    assert heard == [book.report] and book.report.part == (1, 2) and book.report.total == 1
    assert book.report.settings == {"step_size": 0.5, "roi": [2], "raw_labels": False}
    assert (tmp_path / "out/plans.json").is_file() and (tmp_path / "out/dataset.json").is_file()


def test_what_cannot_be_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    for wishes in ({"num_parts": 2, "part_id": 2}, {"roi": ["liver"]}, {"raw_labels": True}):
        with pytest.raises(ConfigError):
            made(tmp_path, **wishes)
    assert not (tmp_path / "out").exists()


def test_the_end_tells_files_failures_and_what_is_left(tmp_path: Path) -> None:
    task = made(tmp_path)
    with staging(tmp_path / "out") as place:
        book, _ = task.begin(place, {}, None)
        for name in ("a", "c"):
            book.add(CaseReport(name, "done", f"{name}.nii.gz"))
        stop = StopRequest()
        assert [file.name for file in task.conclude(book, stop).written] == ["a.nii.gz", "c.nii.gz"]
        book.add(CaseReport("b", "failed", error="it is bad"))
        with pytest.raises(BatchError, match="1 of 3 cases failed: b: it is bad") as failed:
            task.conclude(book, stop)
        assert failed.value.written == [tmp_path / "out/a.nii.gz", tmp_path / "out/c.nii.gz"]
        stop.number = 15
        with pytest.raises(StoppedError, match="Stopped by SIGTERM: 2 of 3"):
            task.conclude(book, stop)


def test_a_report_that_cannot_be_written_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, said = made(tmp_path), []

    class Hears(Watcher):
        def message(self, text: str) -> None:
            said.append(text)

    with staging(tmp_path / "out") as place:
        book, _ = task.begin(place, {}, Hears())

        def full(name: str, text: str) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(place, "write_text", full)
        for name in ("a", "b", "c"):
            book.add(CaseReport(name, "done", f"{name}.nii.gz"))
    assert len(said) == 1 and "the disk is full" in said[0]
    assert len(task.conclude(book, StopRequest()).written) == 3
