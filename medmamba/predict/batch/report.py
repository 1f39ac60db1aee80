"""predict_report.json: what was done with each case of a batch, by what, and how long it took."""

import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from ..._version import __version__
from .parts import REPORTS

FORMAT = 1
"""Raised when a key changes its meaning."""
FINISHED = "finished"
Status = Literal["done", "kept", "failed"]
_PACKAGES = ("torch", "numpy", "nnunetv2", "SimpleITK", "nibabel", "scipy")


@dataclass(frozen=True)
class CaseReport:
    """What became of one case."""

    case: str
    status: Status
    """done; kept: a complete output was there (--resume); failed."""
    output: str | None = None
    """The label map's file name; None where it failed."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By stage. Stages of neighbouring cases overlap, so that the sum over all may exceed the time that passed."""
    peak_memory: int | None = None
    """Most bytes resident while this case was in the network and exported, whatever else the process held included."""
    gpu_memory: int | None = None
    labels: tuple[int, ...] | None = None
    """Label values found, background left out."""
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CaseReport":
        """The entry of a report file; keys that are not known are left out."""
        given = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        for name in ("labels", "warnings"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        return cls(**given)


@dataclass
class Report:
    """A batch, or a part of one, as far as it has come."""

    model: Mapping[str, Any]
    """name, digest, trainer, configuration, folds, notes."""
    settings: Mapping[str, Any]
    """All that the label maps depend on besides the model and the images: outputs of other settings are not kept."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """The device, what the network runs on there, and why."""
    total: int = 0
    """Cases that the batch, or this part, has."""
    part: tuple[int, int] | None = None
    """(number of this part from 0 on, parts)."""
    cases: dict[str, CaseReport] = field(default_factory=dict)
    before: dict[str, CaseReport] = field(default_factory=dict)
    """Cases of this batch that an earlier run noted and that this one has not come to yet. They stay in the file, so
    that a run which is killed early takes nothing from the next one."""
    ended: str | None = None
    """finished, or the signal that stopped the batch; None while it runs."""
    _began: float = field(default_factory=time.monotonic)
    _at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))

    def add(self, case: CaseReport) -> None:
        """Note a case; a later note on the same one takes the place of the first."""
        self.cases[case.case] = case

    def of(self, *statuses: Status) -> list[CaseReport]:
        """The cases with one of these statuses."""
        return [case for case in self.cases.values() if case.status in statuses]

    @property
    def totals(self) -> dict[str, Any]:
        """Cases by status, wall time, the process' highest memory."""
        counts = {status: len(self.of(status)) for status in ("done", "kept", "failed")}
        return {
            "cases": self.total,
            **counts,
            "left": self.total - sum(counts.values()),
            "seconds": round(time.monotonic() - self._began, 3),
            "peak_memory": max((case.peak_memory or 0 for case in self.cases.values()), default=0) or None,
        }

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        cases = self.before | self.cases if self.ended != FINISHED else self.cases
        return {
            "format": FORMAT,
            "software": software(),
            "started": self._at,
            "ended": self.ended,
            "part": None if self.part is None else {"part_id": self.part[0], "num_parts": self.part[1]},
            "model": dict(self.model),
            "settings": dict(self.settings),
            "how": dict(self.how),
            "totals": self.totals,
            "cases": [asdict(case) for case in cases.values()],
        }


def software() -> dict[str, str]:
    """Versions of what works on the numbers; nothing is imported for it."""
    found = {"medmamba": __version__, "python": platform.python_version(), "system": sys.platform}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def recorded(folder: Path, model: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, CaseReport] | None:
    """The cases that reports in `folder` call done, or kept, with this model and these settings.

    None when the folder has no report at all, so that nothing speaks against what lies there. A report that cannot be
    read counts as one that names no case.
    """
    found: dict[str, CaseReport] = {}
    reports = sorted(folder.glob(REPORTS))
    for content in map(_read, reports):
        try:
            if content["model"]["digest"] == model["digest"] and content["settings"] == json.loads(dumps(settings)):
                found |= {case.case: case for case in _finished(content["cases"])}
        except (KeyError, TypeError, AttributeError):
            continue
    return found if reports else None


def _finished(cases: Any) -> Iterator[CaseReport]:
    for case in map(CaseReport.from_json, cases):
        if case.status in ("done", "kept"):
            yield case


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def dumps(content: Mapping[str, Any]) -> str:
    """JSON for people and programs."""
    return json.dumps(content, indent=2, default=str) + "\n"
