"""A volume that is too large for its model in memory, predicted within a ceiling that the system enforces."""

import shlex
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from .. import runtime
from ..predict.budget import parse_size
from . import machine, process_tree
from .predict import OUR_COMMAND, environment, executable, why
from .predict_models import ModelShape
from .predict_report import Tell
from .predict_workloads import Workload, describe, made
from .process_tree import Usage

_LARGE = Workload(
    "a whole-body CT", "ct", (512, 512, 600), (1.0, 0.8, 0.8),
    ModelShape(("CT",), 104, (128, 128, 128), (1.5, 1.5, 1.5), features=8),
)  # fmt: skip
_TINY = Workload(
    "a tiny CT", "ct", (64, 64, 48), (2.0, 1.0, 1.0), ModelShape(("CT",), 9, (32, 32, 32), (1.5, 1.5, 1.5), features=4)
)  # fmt: skip


@dataclass(frozen=True)
class LimitReport:
    """How the run went, and the machine it ran on."""

    about: dict[str, Any]
    workload: str
    command: str
    """As a user types it."""
    limit: int
    """Bytes: the ceiling that was asked for, and the most private memory the system let the process have."""
    usage: Usage
    absent: str
    """Why there is no label map; empty: there is one."""

    @property
    def kept(self) -> bool:
        """Whether there is a label map and memory stayed below the ceiling."""
        return not self.absent and self.usage.peak <= self.limit

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        content = asdict(self)
        return {**content.pop("about"), **content, "kept": self.kept, "memory": process_tree.MEASURE}


def run(
    max_ram: str = "6G",
    ours: tuple[str, ...] = (),
    quick: bool = False,
    folder: Path | None = None,
    tell: Tell = lambda text: None,
) -> LimitReport:
    """Predict a CT of 512x512x600 voxels with 104 classes, without mirroring, under `--max-ram`.

    The command runs under RLIMIT_DATA of the same size: private memory beyond it is refused by the system, whether it
    is in use or only asked for. Mapped files do not count there; the sampled peak has them.
    """
    limit = parse_size(max_ram)
    workload = _TINY if quick else _LARGE
    place = nullcontext(str(folder)) if folder is not None else tempfile.TemporaryDirectory(prefix="medmamba-bench-")
    with place as name:
        here = Path(name).absolute()
        tell(f"making {describe(workload)}")
        ready = made("limits", workload, False, here / "limits")
        arguments = [
            OUR_COMMAND, "predict", "--model", str(ready.model), "--input", str(ready.images), "--device", "cpu",
            "--no-mirror", "--max-ram", max_ram, *ours, "--output", str(here / "limits" / "labels"),
        ]  # fmt: skip
        tell(f"predicting within {max_ram}")
        usage = process_tree.run(
            [executable(arguments[0]), *arguments[1:]], environment(None), here / "limits" / "log", memory=limit
        )
    about = machine.describe(torch.device("cpu"), runtime.cpu_count())
    absent = why(usage) if usage.code else ""
    return LimitReport(about, ready.about, shlex.join(arguments), limit, usage, absent)
