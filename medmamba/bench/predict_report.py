"""What the prediction benchmark is asked for and what it finds."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .predict_labels import Agreement
from .process_tree import MEASURE, Usage

STOCK = "nnU-Net"
VARIANTS = {
    "auto": (),
    "fp32": ("--precision", "fp32"),
    "bf16": ("--precision", "bf16"),
    "fast": ("--fast",),
}
"""Ours, and what each adds to the command. auto: as a user types it."""


@dataclass(frozen=True)
class PredictOptions:
    """What to measure."""

    workloads: tuple[str, ...] = ("small", "few", "many")
    """Names; `predict_workloads.WORKLOADS` says what they are. Of no account with a model and images."""
    model: Path | None = None
    """A trained model folder instead of a made one."""
    images: Path | None = None
    """Folder of its images."""
    network: str = "plain"
    """Of made models."""
    size: tuple[int, int, int] | None = None
    """Voxels (X, Y, Z) of made images; None: the workload's."""
    classes: int | None = None
    """Of made models, with the background; None: the workload's."""
    features: int | None = None
    """Of a made plain network's first stage; None: the workload's."""
    mirror: bool | None = None
    """Both with mirrored copies, or neither. None: as both do it for small images and real models, not for large."""
    variants: tuple[str, ...] = ("fp32", "bf16")
    ours: tuple[str, ...] = ()
    """Further arguments of `medmamba predict`."""
    stock: tuple[str, ...] = ()
    """Further arguments of `nnUNetv2_predict_from_modelfolder`."""
    stock_processes: int | None = None
    """Of stock nnU-Net for preprocessing, and as many for export; None: its own default, 3 and 3."""
    device: str = "cpu"
    threads: int | None = None
    """Cores that each may use; None: all."""
    repeats: int = 2
    ties: bool = False
    """Run stock nnU-Net once more for its probabilities, to see whether differing voxels are ties."""
    quick: bool = False
    """Tiny images, one round: does everything run?"""


@dataclass(frozen=True)
class Row:
    """One side on one workload."""

    name: str
    command: str
    """As a user types it."""
    runs: tuple[Usage, ...]
    absent: str = ""
    """Why there are no figures."""
    agreement: Agreement | None = None
    """Of ours with stock nnU-Net's label maps."""

    @property
    def wall(self) -> float:
        """Seconds of the quickest run."""
        return min(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """The processor's seconds of the run with the fewest."""
        return min(run.cpu for run in self.runs)

    @property
    def peak(self) -> int:
        """Bytes, of the run with the most."""
        return max(run.peak for run in self.runs)

    def against(self, other: "Row") -> dict[str, float]:
        """This one's figures as multiples of the other's: wall, cpu, peak, and wall by the medians."""
        if self.absent or other.absent:
            return {}
        medians = [statistics.median(run.wall for run in row.runs) for row in (self, other)]
        return {
            "wall": self.wall / other.wall,
            "cpu": self.cpu / other.cpu,
            "peak": self.peak / other.peak,
            "wall_median": medians[0] / medians[1],
        }

    def as_json(self, stock: "Row | None") -> dict[str, Any]:
        """Everything as plain numbers."""
        content = asdict(self)
        content["agreement"] = None if self.agreement is None else self.agreement.as_json()
        figures = {} if self.absent else {"wall": self.wall, "cpu": self.cpu, "peak": self.peak}
        return {**content, **figures, "ratios": {} if stock in (None, self) else self.against(stock)}


@dataclass(frozen=True)
class Compared:
    """Both sides on one workload."""

    workload: str
    about: str
    """Images and model, in words."""
    mirror: bool
    stock_processes: int
    rows: tuple[Row, ...]
    """Stock nnU-Net's first."""

    def as_json(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        content = {key: value for key, value in vars(self).items() if key != "rows"}
        return {**content, "rows": [row.as_json(self.rows[0]) for row in self.rows]}


@dataclass(frozen=True)
class PredictReport:
    """All workloads, and the machine they ran on."""

    about: dict[str, Any]
    compared: tuple[Compared, ...]

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        return {**self.about, "memory": MEASURE, "workloads": [one.as_json() for one in self.compared]}


Tell = Callable[[str], None]
"""Hears what is being done, for people who wait."""
