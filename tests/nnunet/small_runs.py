"""Training runs that take seconds."""

from typing import Any

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
