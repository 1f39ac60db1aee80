"""The conventions, and which of them a run is: the first that fits."""

from typing import Literal

from ..arguments import Options
from .base import Mode
from .brats_2025 import Brats2025
from .brats_mlcube import BratsMlcube
from .grand_challenge import GrandChallenge
from .medperf import MedPerf
from .native import Native

MODES: tuple[type[Mode], ...] = (BratsMlcube, GrandChallenge, MedPerf, Brats2025, Native)
"""In the order in which they are tried."""


def detect(options: Options) -> tuple[Mode, Literal["detected", "forced"]]:
    """The mode of a run, and whether it was asked for."""
    if options.mode is not None:
        chosen = next(mode for mode in MODES if mode.name == options.mode)
        return chosen.of(options), "forced"
    fitting = (mode for mode in MODES if options.verb in mode.verbs and mode.fits(options))
    return next(fitting).of(options), "detected"
