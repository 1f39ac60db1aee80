"""What a dry run says beside what the run then does; and that it leaves no trace."""

import json
from pathlib import Path
from typing import Any

import pytest

from medmamba import runtime
from medmamba.errors import ConfigError, DataError
from medmamba.nnunet import checkpoints
from medmamba.nnunet.training import train
from medmamba.nnunet.watching import rehearsal
from medmamba.nnunet.watching.history import HistoryFile
from medmamba.nnunet.watching.rehearsal import rehearse
from tests.nnunet.small_runs import PLAIN, REGIONS, options

FOLD = 4


def files(place: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(place.rglob("*"))}


@pytest.fixture(scope="module")
def trained(workplace: Path) -> Path:
    return train(PLAIN, options(fold=FOLD, preset="default", network="lightm-unet"), [HistoryFile()])


def given(**changes: Any) -> Any:
    return options(**{"fold": FOLD, "preset": "default", "network": "lightm-unet", **changes})


def test_nothing_is_written(workplace: Path) -> None:
    before = files(workplace)
    found = rehearse(REGIONS, options(network="segmamba", preset="default", fold="all"))
    assert files(workplace) == before
    assert found.plans.endswith("nnUNetPlans_segmamba.json (would be written)")
    assert (found.train_cases, found.val_cases, found.start) == (5, 5, "anew")


def test_it_says_what_the_run_does(trained: Path) -> None:
    before = files(trained.parent)
    found = rehearse(PLAIN, given(resume=True, epochs=3))
    assert files(trained.parent) == before
    content = checkpoints.read(trained / checkpoints.FINAL)
    assert found.folder == str(trained)
    assert found.parameters == sum(v.numel() for v in content["network_weights"].values() if v.is_floating_point())
    assert (found.train_cases, found.val_cases) == (4, 1)
    assert (found.patch_size, found.batch_size, found.recipe["iterations"]) == ((16, 16, 16), 2, 2)
    assert (found.start, found.epochs_left) == ("at epoch 3 of 3, from checkpoint_final.pth", 1)
    assert found.epoch_seconds is not None and found.seconds == found.epoch_seconds
    assert found.precision == "fp32 (as asked)" and "few cores" in found.workers_why
    written = {file.removesuffix("/") for file in found.files}
    assert {"checkpoint_final.pth", "checkpoint_best.pth", "history.jsonl", "progress.png", "debug.json"} <= written
    assert found.problems == ()


def test_twice_the_steps_take_twice_the_time(trained: Path) -> None:
    once, twice = (rehearse(PLAIN, given(resume=True, iterations=n)).epoch_seconds for n in (5, 10))
    assert once and twice == pytest.approx(2 * once)
    assert rehearse(PLAIN, given(batch_size=3)).epoch_seconds is None  # nobody knows that of another batch


def test_checkpoints_that_are_there(trained: Path) -> None:
    assert "moved to previous/" in rehearse(PLAIN, given()).start
    done = rehearse(PLAIN, given(resume=True, epochs=1))
    assert "nothing is left to train" in done.start and done.epochs_left == 0
    assert "--seed 4 is not the seed" in rehearse(PLAIN, given(resume=True, seed=4)).problems[0]
    assert "--resume finds no checkpoint" in rehearse(PLAIN, given(resume=True, fold=9)).start


def test_what_the_machine_lacks(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "free_memory", lambda device: 2**20)
    monkeypatch.setattr(runtime, "free_disk", lambda folder: 2**10)
    found = rehearse(PLAIN, given())
    assert [("memory" in text, "disk" in text) for text in found.problems] == [(True, False), (False, True)]


def test_a_part_of_the_batch_at_a_time_needs_less_memory(trained: Path) -> None:
    whole, parts = rehearse(PLAIN, given(batch_size=8)), rehearse(PLAIN, given(batch_size=8, accumulate=8))
    assert parts.memory < whole.memory and parts.flops == pytest.approx(whole.flops, rel=0.01)


def test_several_processes(trained: Path) -> None:
    assert rehearse(PLAIN, given(), processes=2).processes == 2
    with pytest.raises(ConfigError, match="cannot be shared by 3 processes"):
        rehearse(PLAIN, given(), processes=3)


def test_workers(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    found = rehearse(PLAIN, given())
    assert found.workers == 1 and "through /dev/shm" in found.workers_why
    monkeypatch.setattr(rehearsal, "fits_shared_memory", lambda shapes, workers: False)
    assert "through pipes" in rehearse(PLAIN, given()).workers_why


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"configuration": "2d", "patch_size": None}, DataError, "not preprocessed|no preprocessed cases"),
        ({"network": "unet"}, ConfigError, "no nnU-Net trainer"),
        ({"fold": -1}, ConfigError, "Fold -1"),
        ({"network": "segmamba", "configuration": "2d"}, ConfigError, "works on volumes"),
        ({"precision": "fp16"}, ConfigError, "fp16 does not work on a CPU"),
    ],
)
def test_what_training_refuses(trained: Path, changes: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        rehearse(PLAIN, given(**changes))
    with pytest.raises(error):
        train(PLAIN, given(**changes))


def test_json(trained: Path) -> None:
    content = json.loads(json.dumps(rehearse(PLAIN, given()).as_json()))
    assert content["network"] == "lightm-unet" and content["seconds"] == content["epoch_seconds"] * 2
