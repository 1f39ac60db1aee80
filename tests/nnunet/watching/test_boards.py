"""With a stand-in for TensorBoard's writer, and with the real one where it is installed."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imsave

from medmamba.errors import ConfigError, SetupError
from medmamba.nnunet.loop.reports import EpochReport
from medmamba.nnunet.watching import boards
from tests.nnunet.fake_trainer import label_manager


class Writer:
    """Notes what it is asked to write."""

    made: "list[Writer]"

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: dict[tuple[str, int], float] = {}
        self.texts: list[tuple[str, int]] = []
        self.images: list[tuple[tuple[int, ...], int]] = []
        self.closed = False
        Writer.made.append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars[tag, step] = value

    def add_text(self, tag: str, text: str, step: int) -> None:
        self.texts.append((text, step))

    def add_image(self, tag: str, image: Any, step: int, dataformats: str) -> None:
        assert dataformats == "HWC"
        self.images.append((image.shape, step))

    def flush(self) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Writer.made = []
    return Writer.made


def trainer(folder: Path, done: int = 0) -> Any:
    return SimpleNamespace(output_folder=str(folder), label_manager=label_manager(), current_epoch=done)


def report(number: int) -> EpochReport:
    return EpochReport(number, 9, 0.5, 0.25, (0.5, 0.75), 0.625, 0.01, 3.0, "fp32", 2.0, 0.1)


def test_an_epoch_on_the_board(tmp_path: Path, made: list[Writer]) -> None:
    board, given = boards.TensorBoard(), trainer(tmp_path)
    board.message("before the start nobody hears it")
    board.start(given)
    (tmp_path / "pictures").mkdir()
    imsave(tmp_path / "pictures" / "epoch_0002.png", np.zeros((4, 6, 3)))
    for number in (1, 2):
        board.epoch(given, report(number))
    board.message("a step was taken back")
    board.end()
    (writer,) = made
    assert writer.folder == str(tmp_path / "tensorboard") and writer.closed
    assert (writer.scalars["Dice/core", 1], writer.scalars["loss/training", 2]) == (0.75, 0.5)
    assert writer.images == [((4, 6, 3), 2)] and writer.texts == [("a step was taken back", 3)]


def test_a_run_that_goes_on_or_back(tmp_path: Path, made: list[Writer]) -> None:
    board, given = boards.TensorBoard(), trainer(tmp_path, done=4)
    board.start(given)
    assert made[0].purge_step == 5  # what an interrupted run wrote of epoch 5 is forgotten
    for number in (5, 6):
        board.epoch(given, report(number))
    given.current_epoch = 5
    board.epoch(given, report(5))
    assert made[0].closed and made[1].purge_step == 5


def test_a_board_that_fails_does_not_end_the_run(tmp_path: Path, made: list[Writer]) -> None:
    told: list[str] = []
    board, given = boards.TensorBoard(told.append), trainer(tmp_path)
    board.start(given)
    made[0].closed = True  # its flush fails
    for number in (1, 2):
        board.epoch(given, report(number))
    board.message("unheard")
    board.end()
    assert len(told) == 1 and "training goes on without it" in told[0]


def test_what_is_not_installed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "find_spec", lambda name: None)
    monkeypatch.delenv("nnUNet_wandb_enabled", raising=False)
    assert boards.boards("none") == []
    for name in ("tensorboard", "wandb"):
        with pytest.raises(SetupError, match=f"{name} is not installed.*pip install {name}"):
            boards.boards(name)
    with pytest.raises(ConfigError, match="no board 'mlflow'"):
        boards.boards("mlflow")


def test_wandb_is_nnunets_own_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(boards, "find_spec", lambda name: object())
    monkeypatch.setenv("nnUNet_wandb_enabled", "0")
    assert boards.boards("wandb") == []
    assert os.environ["nnUNet_wandb_enabled"] == "1"
    assert [type(one) for one in boards.boards("tensorboard")] == [boards.TensorBoard]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_the_real_writer(tmp_path: Path) -> None:
    (board,) = boards.boards("tensorboard")
    given = trainer(tmp_path)
    board.start(given)
    board.epoch(given, report(1))
    board.message("a sentence")
    board.end()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Scalars("Dice/core")[0].value == pytest.approx(0.75)
