"""run.json: what was done with which bundle on what machine, and what became of each case, by pseudonym."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .._version import __version__
from ..files import write_json
from .arguments import Options
from .exits import ExitCode
from .modes import Mode

if TYPE_CHECKING:
    from ..predict.predictor import Predictor

SCHEMA = 1
NAME = "run.json"
Status = Literal["written", "kept", "failed"]


@dataclass(frozen=True)
class CaseResult:
    """What became of one case."""

    name: str
    """As the input calls it: for the private list and --names-in-report alone."""
    pseudonym: str
    status: Status
    shape: tuple[int, ...] = ()
    """Voxels, (z, y, x)."""
    spacing: tuple[float, ...] = ()
    """mm, (z, y, x)."""
    seconds: float = 0.0
    peak_memory: int | None = None
    gpu_memory: int | None = None
    warnings: tuple[str, ...] = ()
    """Codes of `faults`."""
    error: str | None = None
    """Class of what went wrong."""
    fault: str | None = None
    code: ExitCode = ExitCode.OK
    """What it counts as."""

    def numbers(self) -> dict[str, Any]:
        """What is told of a case that was segmented."""
        return {
            "seconds": self.seconds,
            "shape": list(self.shape),
            "spacing": list(self.spacing),
            "peak_memory": self.peak_memory,
            "gpu_memory": self.gpu_memory,
            "warnings": list(self.warnings),
        }

    def as_json(self, names: bool) -> dict[str, Any]:
        """Its entry; with its name only where the site wants that."""
        entry = {"case": self.pseudonym, "status": self.status, **self.numbers()}
        entry |= {"error": self.error, "fault": self.fault}
        return entry | ({"name": self.name} if names else {})


@dataclass
class Record:
    """A run as far as it has come."""

    mode: Mode
    options: Options
    bundle: str
    """Digest."""
    machine: Mapping[str, Any]
    inputs: str
    """Keyed digest of what the input files hold."""
    total: int
    cases: list[CaseResult] = field(default_factory=list)
    exit_code: ExitCode | None = None
    """None while it runs."""
    _began: float = field(default_factory=time.monotonic)
    _at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def seconds(self) -> float:
        """Since the first case was looked for."""
        return round(time.monotonic() - self._began, 3)

    @property
    def written(self) -> int:
        """Cases whose output is there."""
        return sum(case.status != "failed" for case in self.cases)

    @property
    def failed(self) -> list[CaseResult]:
        """The others that were reached."""
        return [case for case in self.cases if case.status == "failed"]

    @property
    def left(self) -> int:
        """Cases that were not reached."""
        return self.total - len(self.cases)

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        return {
            "schema": SCHEMA,
            "medmamba": __version__,
            "mode": self.mode.name,
            "argv": list(self.options.given),
            "options": self.options.as_json(),
            "bundle": self.bundle,
            "inputs": self.inputs,
            "machine": dict(self.machine),
            "seed": None,  # nothing here is drawn
            "started": self._at,
            "seconds": self.seconds,
            "exit_code": self.exit_code,
            "counts": {"cases": self.total, "ok": self.written, "failed": len(self.failed), "left": self.left},
            "cases": [case.as_json(self.options.names_in_report) for case in self.cases],
        }

    def write(self) -> None:
        """Write the file, where the mode has one."""
        if self.mode.records:
            write_json(self.mode.output / NAME, self.as_json())


def recorded(mode: Mode, bundle: str, options: Options) -> frozenset[str]:
    """Pseudonyms of the cases that an earlier run with this bundle and these options has written."""
    try:
        content = json.loads((mode.output / NAME).read_text(encoding="utf-8"))
        same = content["bundle"] == bundle and _settings(content["options"]) == _settings(options.as_json())
        cases: Sequence[Mapping[str, Any]] = content["cases"] if same else []
        return frozenset(str(case["case"]) for case in cases if case["status"] in ("written", "kept"))
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that label maps depend on."""
    return {name: options[name] for name in ("precision", "fast", "raw_labels")}


def machine(predictor: "Predictor") -> dict[str, Any]:
    """What the numbers depend on, and nothing that tells which machine it is."""
    from importlib import metadata

    import torch

    from .. import runtime
    from ..scan.dispatch import choose

    said, device = predictor.description(), predictor.device
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else runtime.cpu_name(),
        "precision": said["precision"],
        "engine": said["engine"],
        "scan": choose(device, torch.float32).name,
        "folds": said["folds"],
        "step_size": said["step_size"],
        "mirror_axes": said["mirror_axes"],
        "versions": {name: metadata.version(name) for name in ("torch", "numpy", "nnunetv2", "SimpleITK", "nibabel")},
    }
