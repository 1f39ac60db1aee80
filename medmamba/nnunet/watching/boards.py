"""Runs on a board in the browser: TensorBoard, or Weights & Biases through nnU-Net's own logger."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, SetupError
from ..loop.reports import EpochReport, Watcher
from .foreground import foreground_names
from .pictures import FOLDER as PICTURES

if TYPE_CHECKING:
    from ..loop.trainer import MedMambaTrainer

NAMES = ("none", "tensorboard", "wandb")
FOLDER = "tensorboard"


def boards(name: str, tell: Callable[[str], None] = lambda text: None) -> list[Watcher]:
    """The watchers for one of `NAMES`; to be called before the trainer is made. SetupError when its package is missing.

    `tell` hears when a board could not be written; training goes on without it.

    "wandb" is nnU-Net's own logger behind its own variables: nnUNet_wandb_enabled is switched on for this process,
    nnUNet_wandb_project and nnUNet_wandb_mode ("offline" needs no network) are the user's.
    """
    if name not in NAMES:
        raise ConfigError(f"There is no board {name!r}.", f"Use one of {', '.join(NAMES)}.")
    if name == "none":
        return []
    if find_spec(name) is None:
        raise SetupError(f"--log {name}: the package {name} is not installed.", f"Run: pip install {name}")
    if name == "tensorboard":
        return [TensorBoard(tell)]
    os.environ["nnUNet_wandb_enabled"] = "1"
    return []


class TensorBoard(Watcher):
    """Writes every epoch's figures, pictures and messages to `tensorboard/` in the fold folder.

    Steps are epochs, counted from 1. What a run that went on from an earlier checkpoint did after it is forgotten.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self._tell = tell
        self._writer: Any = None
        self._epoch = 0

    def start(self, trainer: "MedMambaTrainer") -> None:
        """Open the file."""
        with self._or_without():
            self._open(trainer, trainer.current_epoch)

    def epoch(self, trainer: "MedMambaTrainer", report: EpochReport) -> None:
        """Write an epoch."""
        if self._writer is None:
            return
        with self._or_without():
            if report.epoch <= self._epoch:  # the run went back to an earlier checkpoint
                self._writer.close()
                self._open(trainer, report.epoch - 1)
            self._epoch = report.epoch
            for tag, value in _values(report, foreground_names(trainer.label_manager)).items():
                self._writer.add_scalar(tag, value, report.epoch)
            picture = Path(str(trainer.output_folder)) / PICTURES / f"epoch_{report.epoch:04d}.png"
            if picture.is_file():
                from matplotlib.image import imread

                self._writer.add_image("validation patch", imread(picture)[..., :3], report.epoch, dataformats="HWC")
            self._writer.flush()

    def message(self, text: str) -> None:
        """Write a sentence at the epoch that is going on."""
        if self._writer is not None:
            with self._or_without():
                self._writer.add_text("messages", text, self._epoch + 1)

    def end(self) -> None:
        """Close the file."""
        if self._writer is not None:
            with self._or_without():
                self._writer.close()
            self._writer = None

    @contextmanager
    def _or_without(self) -> Iterator[None]:
        """What fails in the block ends the board, not the training."""
        try:
            yield
        except Exception as error:
            self._writer = None
            self._tell(f"TensorBoard's file cannot be written ({error}); training goes on without it.")

    def _open(self, trainer: "MedMambaTrainer", done: int) -> None:
        """Go on after `done` epochs; what was written of later ones is not shown any more."""
        from torch.utils.tensorboard import SummaryWriter

        self._epoch = done
        self._writer = SummaryWriter(str(Path(str(trainer.output_folder)) / FOLDER), purge_step=done + 1)


def _values(report: EpochReport, names: Sequence[str]) -> dict[str, float]:
    """What is drawn over the epochs, by tag."""
    return {
        "loss/training": report.train_loss,
        "loss/validation": report.val_loss,
        "Dice/mean": report.mean_dice,
        **{f"Dice/{name}": value for name, value in zip(names, report.dice, strict=False)},
        "run/learning rate": report.learning_rate,
        "run/seconds": report.seconds,
        "run/images per second": report.images_per_second,
        "run/share waiting for data": report.waited,
    }
