"""How fast a run goes and when it will be done, from its own reports."""

import math
import statistics
from collections import deque
from collections.abc import Sequence

from ..loop.reports import EpochReport, StepReport

_RECENT = 50
"""Steps of a phase that say how long the next one takes: enough that single slow ones do not count."""
_RECENT_EPOCHS = 10
_VALIDATION = 1 / 3
"""Of a training step's time, what a validation step takes until one was seen: it has no backward pass."""


class Pace:
    """Images a second, share of time lost waiting for data, and the seconds that remain.

    Epochs that were seen whole say how long the next take, checkpoints and pictures included; before, the steps do.
    Medians are taken, since the first steps of a run prepare kernels and memory.
    """

    def __init__(self, epochs: int, done: int, train_steps: int, validation_steps: int) -> None:
        self._epochs, self._done = epochs, done
        self._steps = {"train": train_steps, "validation": validation_steps}
        self._at = {"train": 0, "validation": 0}
        self._whole = True
        self._recent: dict[str, deque[StepReport]] = {phase: deque(maxlen=_RECENT) for phase in self._steps}
        self._lengths: deque[float] = deque(maxlen=_RECENT_EPOCHS)

    def step(self, report: StepReport) -> None:
        """Take in a step."""
        if not any(self._at.values()):
            self._whole = report.phase == "train" and report.step == 1
        self._steps[report.phase], self._at[report.phase] = report.steps, report.step
        self._recent[report.phase].append(report)

    def epoch(self, report: EpochReport) -> None:
        """Take in an epoch."""
        self._epochs, self._done = report.epochs, report.epoch
        self._at = dict.fromkeys(self._at, 0)
        if self._whole:  # of an epoch in whose middle a run went on, only the rest was seen
            self._lengths.append(report.seconds)

    @property
    def done(self) -> float:
        """Epochs done, with the part of the present one."""
        per = self._per_step()
        whole = sum(per[phase] * steps for phase, steps in self._steps.items())
        begun = sum(per[phase] * steps for phase, steps in self._at.items())
        return self._done + (min(1.0, begun / whole) if whole else 0.0)

    @property
    def left(self) -> float | None:
        """Seconds until the last epoch is done; None as long as nothing was seen."""
        if self._lengths:
            return statistics.median(self._lengths) * (self._epochs - self.done)
        if not self._recent["train"]:
            return None
        per = self._per_step()
        return sum(per[phase] * steps for phase, steps in self._steps.items()) * (self._epochs - self.done)

    @property
    def images_per_second(self) -> float:
        """Training images a second over the last steps; 0 before the first."""
        steps = self._recent["train"]
        return sum(step.images for step in steps) / (_seconds(steps) or 1.0)

    @property
    def waited(self) -> float:
        """Share (0 to 1) of the last training steps' time in which they waited for data."""
        steps = self._recent["train"]
        return sum(step.waited for step in steps) / (_seconds(steps) or 1.0)

    @property
    def loss(self) -> float | None:
        """Mean of the finite losses of the last training steps of one epoch; None where there is none."""
        steps = self._recent["train"]
        losses = [step.loss for step in steps if step.epoch == steps[-1].epoch and math.isfinite(step.loss)]
        return statistics.fmean(losses) if losses else None

    def _per_step(self) -> dict[str, float]:
        """Seconds of a step of each phase; 1 and a third of it as long as none was seen."""
        train, validation = (
            statistics.median(step.seconds for step in steps) if steps else None for steps in self._recent.values()
        )
        train = 1.0 if train is None else train
        return {"train": train, "validation": _VALIDATION * train if validation is None else validation}


def _seconds(steps: Sequence[StepReport] | deque[StepReport]) -> float:
    return sum(step.seconds for step in steps)
