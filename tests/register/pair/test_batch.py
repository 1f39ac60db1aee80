"""Batches of pairs: lists, bad pairs, resuming, stopping."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from medmamba.errors import ConfigError
from medmamba.predict.batch.failures import BatchError
from medmamba.register.pair import batch
from medmamba.register.pair.batch import BatchWatcher, PairReport, Summary, run, tasks_of
from medmamba.register.pair.options import Options
from medmamba.stopping import StoppedError
from tests.register import made_pairs

QUICK = Options(affine="translation", init="header", deform="none", device="cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    made_pairs.write_pair(folder)
    return folder


@pytest.fixture
def listed(made: Path, tmp_path: Path) -> Path:
    """Three pairs, the second of which is bad."""
    folder = Path(shutil.copytree(made, tmp_path / "data"))
    (folder / "bad.nii.gz").write_bytes(b"no image")
    lines = ["fixed,moving,fixed_seg,moving_seg,name", "fixed.nii.gz,moving.nii.gz,fixed_seg.nii.gz,moving_seg.nii.gz,"]
    lines += ["fixed.nii.gz,bad.nii.gz,,,", f"{folder / 'moving.nii.gz'},fixed.nii.gz,,,back"]
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder / "pairs.csv"


def test_lists(listed: Path) -> None:
    first, second, third = tasks_of(listed)
    assert (first.name, second.name, third.name) == ("fixed_to_moving", "fixed_to_bad", "back")
    assert first.fixed == listed.parent / "fixed.nii.gz" and third.fixed.is_absolute()
    assert first.inputs.moving_seg == listed.parent / "moving_seg.nii.gz" and second.inputs.given() == {}
    names = listed.with_name("names.json")
    names.write_text(json.dumps([{"fixed": "a.nii.gz", "moving": "b.nii.gz", "name": "../up"}]))
    with pytest.raises(ConfigError, match="no name for a folder"):
        tasks_of(names)


def test_a_bad_pair_stops_nothing_and_whole_results_are_kept(listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BatchError) as error:
        run(tasks_of(listed), out, QUICK)
    assert error.value.exit_code == 6 and list(error.value.failures) == ["fixed_to_bad"]
    assert "bad.nii.gz" in error.value.failures["fixed_to_bad"]
    summary = json.loads((out / "summary.json").read_text())
    assert [pair["status"] for pair in summary["pairs"]] == ["done", "failed", "done"]
    assert summary["ended"] == "finished" and summary["totals"]["left"] == 0
    rows = list(csv.DictReader((out / "summary.csv").read_text().splitlines()))
    assert [row["status"] for row in rows] == ["done", "failed", "done"] and float(rows[0]["dice"]) > 0.5
    assert sorted(path.name for path in out.iterdir()) == ["back", "fixed_to_moving", "summary.csv", "summary.json"]

    (out / "back" / "warped.nii.gz").unlink()  # no longer whole
    tasks = tasks_of(listed)
    assert statuses(tasks[::2], out, QUICK) == ["kept", "done"]
    assert statuses(tasks[::2], out, QUICK) == ["kept", "kept"]
    assert statuses(tasks[:1], out, Options(**QUICK.as_json() | {"affine": "none"})) == ["done"]
    listed.with_name("moving.nii.gz").write_bytes(listed.with_name("fixed.nii.gz").read_bytes())
    assert statuses(tasks[:1], out, Options(**QUICK.as_json() | {"affine": "none"})) == ["done"]


def statuses(tasks: list[batch.Task], out: Path, options: Options) -> list[str]:
    return [pair.status for pair in run(tasks, out, options).pairs.values()]


def test_asked_to_stop(listed: Path, tmp_path: Path) -> None:
    class Hasty(BatchWatcher):
        ended: Summary | None = None

        def done(self, pair: PairReport, summary: Summary) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        def end(self, summary: Summary) -> None:
            self.ended = summary

    watcher = Hasty()
    with pytest.raises(StoppedError, match="1 of 3 pairs are done") as error:
        run(tasks_of(listed), tmp_path / "out", QUICK, watcher=watcher)
    assert error.value.exit_code == 143 and watcher.ended is not None and watcher.ended.ended == "SIGTERM"
    assert statuses(tasks_of(listed)[:1], tmp_path / "out", QUICK) == ["kept"]


def test_stopped_within_a_pair(listed: Path, tmp_path: Path) -> None:
    class Hasty(BatchWatcher):
        def stage(self, name: str) -> None:
            if name == "affine":
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError, match="0 of 3"):
        run(tasks_of(listed), tmp_path / "out", QUICK, watcher=Hasty())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["summary.csv", "summary.json"]


def test_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no pair"):
        run([], tmp_path / "out", QUICK)
    (tmp_path / "file").touch()
    task = batch.Task("a", tmp_path, tmp_path, batch.Inputs())
    with pytest.raises(ConfigError, match="cannot be made"):
        run([task], tmp_path / "file" / "out", QUICK)
