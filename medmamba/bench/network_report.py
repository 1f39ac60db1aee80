"""What the network benchmark is asked for and what it finds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .contenders import Contender
from .timing import Timing, as_json


@dataclass(frozen=True)
class NetworkOptions:
    """What to measure."""

    nets: tuple[str, ...] = ()
    """Names, `plain-unet` among them; none for all."""
    dtypes: tuple[str, ...] = ()
    """fp32, bf16, fp16; none for fp32 and, where the device has units for it, bf16."""
    patch: str = "paper"
    """paper, small, or the edge of a cube."""
    batch: int = 1
    train: bool | None = None
    """Also a training step; None: on a GPU."""
    threads: int | None = None
    repeats: int = 3


@dataclass(frozen=True)
class NetworkRow:
    """One form of one network. Seconds and bytes."""

    contender: Contender
    group: str
    """The network beside which it stands."""
    parameters: int
    timings: Mapping[str, Timing] = field(default_factory=dict)
    """forward; forward_cpu (CPU seconds of all threads); train, a training step."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of a forward: scan, convolution."""
    error: float | None = None
    """||y - y of torch fp32|| / ||y of torch fp32||, random weights and input; None where fp32 was not asked for."""
    memory: Mapping[str, int | None] = field(default_factory=dict)
    """Peaks beyond weights, input and output: forward; train, with gradients and momentum."""
    absent: str = ""
    """Why there are no figures."""

    def speed(self, other: "NetworkRow", part: str = "forward") -> float | None:
        """How many times quicker than `other`."""
        ours, theirs = self.timings.get(part), other.timings.get(part)
        return theirs.minimum / ours.minimum if ours and theirs else None

    def as_json(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        return {**asdict(replace(self, timings={})), "how": self.contender.how, "timings": as_json(self.timings)}


@dataclass(frozen=True)
class NetworkReport:
    """All rows, and the machine they were made on."""

    about: dict[str, Any]
    rows: tuple[NetworkRow, ...]

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        return {**self.about, "rows": [row.as_json() for row in self.rows]}
