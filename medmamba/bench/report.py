"""What the scan benchmark is asked for and what it finds."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from . import machine
from .machine import Limits
from .timing import Timing, as_json
from .workloads import Workload

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

TRAINING = ("train_forward", "backward")
"""The parts of a row that make a training step."""

Tell = Callable[[str], None]
"""Hears what is being done, for people who wait."""


@dataclass(frozen=True)
class ScanOptions:
    """What to measure."""

    workloads: tuple[str, ...] = ()
    """Names; none for the default ones, "all" for all."""
    dtype: str = "fp32"
    threads: int | None = None
    directions: int | None = None
    """1 or 3; None for 1, and 3 as well for what networks scan in three."""
    backward: bool = True
    peers: bool = True
    only: tuple[str, ...] = ()
    """Parts of the names of those that take part; none for everyone."""
    repeats: int = 5
    quick: bool = False
    """Short sequences, two rounds and no compiler: to see that everything runs."""


@dataclass(frozen=True)
class Row:
    """One way to compute one workload. Seconds, bytes; rates in (b, l, d, n) elements a second."""

    workload: str
    name: str
    directions: tuple[str, ...]
    shape: Workload
    """As measured: slow ones get a shorter sequence."""
    absent: str = ""
    """Why there are no figures."""
    timings: Mapping[str, Timing] = field(default_factory=dict)
    """forward; and with a backward also train_forward (keeps what the backward needs) and backward, alone."""
    bound: Mapping[str, float] = field(default_factory=dict)
    """Seconds of forward and backward that this machine's limits allow."""
    memory: Mapping[str, int | None] = field(default_factory=dict)
    """Beyond inputs, output and gradients: forward (inference), stored (between forward and backward), training."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Of y and the worst gradient against the float64 oracle, relative, on a short case."""

    @property
    def elements(self) -> int:
        """(b, l, d, n) elements of one call, all directions."""
        return len(self.directions) * self.shape.elements()

    def rate(self, *parts: str) -> float | None:
        """Elements a second of the quickest runs of these parts together; None where one was not measured."""
        if not all(part in self.timings for part in parts):
            return None
        return self.elements / sum(self.timings[part].minimum for part in parts)

    def slower(self, other: "Row", *parts: str) -> float | None:
        """How many times this one's rate lies below that of `other`."""
        ours, theirs = self.rate(*parts), other.rate(*parts)
        return theirs / ours if ours and theirs else None

    def fraction(self, part: str) -> float | None:
        """How much of this machine's bound is reached."""
        return self.bound[part] / self.timings[part].minimum if part in self.timings else None

    def as_json(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        parts = tuple(self.timings)
        return {
            **asdict(replace(self, timings={})),
            "elements": self.elements,
            "timings": as_json(self.timings),
            "rates": {part: self.rate(part) for part in parts} | {"training": self.rate(*TRAINING)},
            "fractions": {part: self.fraction(part) for part in parts if part in self.bound},
        }


@dataclass(frozen=True)
class ScanReport:
    """All rows, and the machine they were made on."""

    about: dict[str, Any]
    limits: Limits
    dtype: str
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        limits = machine.limits_json(self.limits)
        return {**self.about, "limits": limits, "dtype": self.dtype, "rows": [row.as_json() for row in self.rows]}
