import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from medmamba.nnunet.loop.reports import EpochReport
from medmamba.nnunet.presets import Recipe
from medmamba.nnunet.training import train
from medmamba.nnunet.watching.history import NAME, HistoryFile, read_history
from tests.nnunet.fake_trainer import label_manager
from tests.nnunet.small_runs import PLAIN, options


def report(number: int, loss: float = 0.5) -> EpochReport:
    return EpochReport(number, 9, loss, 0.25, (0.5, math.nan), 0.5, 0.01, 3.0, "fp32", 2.0, 0.1, ("a sentence",))


def log(epochs: int) -> dict[str, list[Any]]:
    """nnU-Net's lists after some epochs, with the learning rate of the epoch that is going on."""
    numbers = ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice")
    return {
        **{name: [0.125] * epochs for name in numbers},
        "lrs": [0.01] * (epochs + 1),
        "dice_per_class_or_region": [[0.5, 0.75]] * epochs,
        "epoch_start_timestamps": [100.0 + i for i in range(epochs)],
        "epoch_end_timestamps": [100.5 + i for i in range(epochs)],
    }


def trainer(folder: Path, done: int = 0) -> Any:
    return SimpleNamespace(
        output_folder=str(folder),
        label_manager=label_manager(),
        current_epoch=done,
        num_epochs=9,
        network_name="umamba-bot",
        fold=0,
        configuration_name="3d_fullres",
        configuration_manager=SimpleNamespace(patch_size=np.array([16, 16, 16]), batch_size=2),
        recipe=Recipe(epochs=9, iterations=4, validation_iterations=1),
        seed=3,
        device=torch.device("cpu"),
        logger=SimpleNamespace(get_checkpoint=lambda: log(done)),
    )


def written(folder: Path, *numbers: int, done: int = 0) -> Path:
    watcher, given = HistoryFile(), trainer(folder, done)
    watcher.start(given)
    for number in numbers:
        watcher.epoch(given, report(number))
    return folder / NAME


def test_a_line_an_epoch(tmp_path: Path) -> None:
    lines = written(tmp_path, 1, 2).read_text().splitlines()
    first, second = map(json.loads, lines)
    assert (first["epoch"], first["train_loss"], first["waited"], first["events"]) == (1, 0.5, 0.1, ["a sentence"])
    assert first["dice"] == {"shell": 0.5, "core": None}  # JSON has no NaN
    assert first["memory"] > 10**7 and first["time"].endswith("+00:00")
    assert first["run"]["torch"] == torch.__version__ and "run" not in second
    assert (first["run"]["patch_size"], first["run"]["recipe"]["iterations"]) == ([16, 16, 16], 4)


@pytest.mark.parametrize("end", ['{"epoch": 3, "train_lo', "{}\n", "[3]\n", "\x00\x00"])
def test_a_half_written_line_is_passed_over(tmp_path: Path, end: str) -> None:
    file = written(tmp_path, 1, 2)
    file.write_text(file.read_text() + end)
    assert [row["epoch"] for row in read_history(file)] == [1, 2]
    written(tmp_path, 3, done=2)
    assert [json.loads(line)["epoch"] for line in file.read_text().splitlines()] == [1, 2, 3]


def test_every_place_at_which_a_write_may_break_off(tmp_path: Path) -> None:
    file = written(tmp_path, 1, 2)
    whole = file.read_bytes()
    first = whole.index(b"\n")
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert len(read_history(file)) == (length >= first) + (length >= len(whole) - 1)


def test_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    file = written(tmp_path, 1, 2, 3, 4)
    written(tmp_path, 3, done=2)
    assert [row["epoch"] for row in read_history(file)] == [1, 2, 3]
    assert "run" in read_history(file)[2]
    written(tmp_path)
    assert read_history(file) == []


def test_what_the_checkpoint_knows_and_the_file_does_not(tmp_path: Path) -> None:
    file = written(tmp_path, 1)
    written(tmp_path, 4, done=3)
    rows = read_history(file)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert (rows[0]["train_loss"], rows[1]["train_loss"]) == (0.5, 0.125)
    assert rows[1]["dice"] == {"shell": 0.5, "core": 0.75} and rows[1]["seconds"] == 0.5


def test_a_run_that_goes_back(tmp_path: Path) -> None:
    file = written(tmp_path, 1, 2, 3, 2)
    assert len(file.read_text().splitlines()) == 2
    assert [row["epoch"] for row in read_history(file)] == [1, 2]


def test_a_full_disk_does_not_end_the_run(tmp_path: Path) -> None:
    told: list[str] = []
    watcher, given = HistoryFile(told.append), trainer(tmp_path)
    watcher.start(given)
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()  # cannot be opened for writing, whoever asks
    watcher.epoch(given, report(1))
    watcher.epoch(given, report(2))
    assert len(told) == 1 and "history.jsonl cannot be written" in told[0]


def test_no_file_no_epochs(tmp_path: Path) -> None:
    assert read_history(tmp_path / NAME) == []


def test_a_real_run_and_its_resumption(workplace: Path) -> None:
    fold = train(PLAIN, options(fold=3), [HistoryFile()])
    train(PLAIN, options(fold=3, epochs=3, resume=True), [HistoryFile()])
    rows = read_history(fold / NAME)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [("run" in row, set(row["dice"])) for row in rows] == [
        (new, {"shell", "core"}) for new in (True, False, True)
    ]
    assert all(row["images_per_second"] > 0 and 0 <= row["waited"] <= 1 for row in rows)
