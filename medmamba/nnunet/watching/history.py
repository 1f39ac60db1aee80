"""history.jsonl: what every epoch brought, one JSON object a line, for scripts and tables."""

import json
import math
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...files import replacing
from ..loop.reports import EpochReport, Watcher
from .foreground import foreground_names

if TYPE_CHECKING:
    from ..loop.trainer import MedMambaTrainer

NAME = "history.jsonl"
_SOFTWARE = ("torch", "nnunetv2", "numpy", "batchgeneratorsv2")
_LOGGED = {"train_loss": "train_losses", "val_loss": "val_losses", "mean_dice": "mean_fg_dice", "learning_rate": "lrs"}
"""Our key -> the name of nnU-Net's list."""


class HistoryFile(Watcher):
    """Writes `history.jsonl` into the fold folder.

    A line has the fields of `EpochReport` (`dice` by name, `null` for what is not a finite number), `time` (UTC),
    `memory` (bytes this process held at most so far) and, on a GPU, `gpu_memory` (bytes of tensors at most). The first
    line after each start also has `run`: software, machine and network. A line is on the disk before training goes on.

    At the start the file is cut back to the epochs of the checkpoint that was loaded. Epochs that the checkpoint has
    and the file has not (a run killed between the two, or begun by stock nnU-Net) come from nnU-Net's log.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self._tell = tell
        self._path: Path | None = None
        self._names: tuple[str, ...] = ()
        self._run: dict[str, Any] | None = None
        self._last = 0

    def start(self, trainer: "MedMambaTrainer") -> None:
        """Cut the file back to the epochs that are done and fill its gaps."""
        assert trainer.output_folder is not None
        self._path = Path(trainer.output_folder) / NAME
        self._names = foreground_names(trainer.label_manager)
        self._run = run_facts(trainer)
        self._cut_back(trainer, trainer.current_epoch)

    def epoch(self, trainer: "MedMambaTrainer", report: EpochReport) -> None:
        """Append a line."""
        if self._path is None:
            return
        if report.epoch <= self._last:  # the run went back to an earlier checkpoint
            self._cut_back(trainer, report.epoch - 1)
        row = {
            **asdict(report),
            "dice": dict(zip(self._names, report.dice, strict=False)),
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **_memory(trainer),
        }
        if self._run is not None:
            row["run"], self._run = self._run, None
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(row))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._give_up(error)
        self._last = report.epoch

    def _cut_back(self, trainer: "MedMambaTrainer", done: int) -> None:
        """Keep the lines of the first `done` epochs; nnU-Net's log gives those that are missing."""
        assert self._path is not None
        known = {
            row["epoch"]: row for row in from_log(trainer.logger.get_checkpoint(), self._names, trainer.num_epochs)
        }
        known |= {row["epoch"]: row for row in read_history(self._path)}
        self._last = done
        try:
            with replacing(self._path) as temporary:
                lines = [_line(known[epoch]) for epoch in sorted(known) if epoch <= done]
                temporary.write_text("".join(lines), encoding="utf-8")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """A disk that fails must not end the training: the checkpoints know the same, and a resumed run writes it."""
        self._tell(f"{self._path} cannot be written ({error.strerror}); training goes on without it.")
        self._path = None


def read_history(path: Path) -> list[dict[str, Any]]:
    """The epochs of a history.jsonl, in order; empty where there is no file.

    A line that a killed run left half written ends the reading; of two lines for one epoch the later counts.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            row = json.loads(line)
            rows[int(row["epoch"])] = row
        except (ValueError, TypeError, KeyError):  # json.JSONDecodeError is a ValueError
            break
    return [rows[epoch] for epoch in sorted(rows)]


def from_log(log: Mapping[str, Sequence[Any]], names: Sequence[str], epochs: int) -> list[dict[str, Any]]:
    """Rows of a history from the lists that nnU-Net keeps in its checkpoints (one value an epoch)."""
    times, started = log["epoch_end_timestamps"], log["epoch_start_timestamps"]
    return [
        {
            "epoch": place + 1,
            "epochs": epochs,
            **{key: float(log[name][place]) for key, name in _LOGGED.items()},
            "dice": {name: float(dice) for name, dice in zip(names, dices, strict=False)},
            "seconds": float(ended - times_started),
            "time": datetime.fromtimestamp(ended, timezone.utc).isoformat(timespec="seconds"),
        }
        for place, (ended, times_started, dices) in enumerate(
            zip(times, started, log["dice_per_class_or_region"], strict=False)
        )
    ]


def run_facts(trainer: "MedMambaTrainer") -> dict[str, Any]:
    """What was trained, with which software and on what: for the first line of a run."""
    return {
        "network": trainer.network_name,
        "configuration": trainer.configuration_name,
        "fold": trainer.fold,
        "patch_size": [int(size) for size in trainer.configuration_manager.patch_size],
        "batch_size": trainer.configuration_manager.batch_size,
        "recipe": trainer.recipe.model_dump(),
        "device": str(trainer.device),
        "seed": trainer.seed,
        "machine": platform.node(),
        "medmamba": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _SOFTWARE},
    }


def _memory(trainer: "MedMambaTrainer") -> dict[str, int]:
    """Bytes at most so far: of this process and, on a CUDA device, of torch's tensors there."""
    found = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if trainer.device.type == "cuda":
        import torch

        found["gpu_memory"] = torch.cuda.max_memory_allocated(trainer.device)
    return found


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(_finite(row), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
