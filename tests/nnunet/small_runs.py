"""Training runs that take seconds."""

from typing import Any

from medmamba.nnunet.loop.reports import EpochReport, Watcher
from medmamba.nnunet.training import TrainOptions

PLAIN, REGIONS = 901, 902


def options(**changes: Any) -> TrainOptions:
    """Options of a run that takes seconds."""
    given: dict[str, Any] = {
        "network": "umamba-bot",
        "preset": "small",
        "epochs": 2,
        "iterations": 2,
        "seed": 3,
        "precision": "fp32",
    }
    return TrainOptions(**{**given, "device": "cpu", "patch_size": (16, 16, 16), **changes})


class Reports(Watcher):
    """Keeps what it is told of epochs, and what the user is told."""

    def __init__(self, epochs: list[EpochReport] | None = None) -> None:
        self.epochs = [] if epochs is None else epochs
        self.messages: list[str] = []

    def epoch(self, trainer: Any, report: EpochReport) -> None:
        self.epochs.append(report)

    def message(self, text: str) -> None:
        self.messages.append(text)
