"""Many pairs that finish: bad ones are reported, every result is whole, and any end can be gone on from."""

import os
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ... import runtime
from ...errors import ConfigError, MedMambaError
from ...files import read_json, replacing, write_json
from ...predict.batch.failures import BatchError, reason
from ...predict.batch.report import software
from ...stopping import StoppedError, StopRequest, stop_requests
from ..pairs import read_pairs
from . import outputs
from .identity import identity_of, is_same
from .models import Models
from .options import Inputs, Options
from .outcome import WORSE
from .run import register
from .stages import Watcher

SUMMARY, TABLE = "summary.json", "summary.csv"
FORMAT = 1
"""Raised when a key changes its meaning."""
_FIGURES = ("kept", "dice_start", "dice_affine", "dice", "tre_mm", "folding_percent", "inverse_p95_mm")
Status = Literal["done", "worse", "kept", "failed"]
"""kept: a whole result of the same files and options was there."""


@dataclass(frozen=True)
class Task:
    """One line of the list, with its files found."""

    name: str
    fixed: Path
    moving: Path
    inputs: Inputs


@dataclass(frozen=True)
class PairReport:
    """What became of one pair."""

    pair: str
    status: Status
    seconds: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The columns of the table, out of the pair's own report."""
    warnings: tuple[str, ...] = ()
    error: str | None = None


@dataclass
class Summary:
    """A batch as far as it has come."""

    options: Mapping[str, Any]
    total: int
    pairs: dict[str, PairReport] = field(default_factory=dict)
    ended: str | None = None
    """finished, or the signal that stopped the batch; None while it runs."""
    _began: float = field(default_factory=time.monotonic)

    def of(self, *statuses: Status) -> list[PairReport]:
        """The pairs with one of these statuses."""
        return [pair for pair in self.pairs.values() if pair.status in statuses]

    @property
    def totals(self) -> dict[str, Any]:
        """Pairs by status, and wall time."""
        counts = {status: len(self.of(status)) for status in ("done", "worse", "kept", "failed")}
        left = self.total - sum(counts.values())
        return {"pairs": self.total, **counts, "left": left, "seconds": round(time.monotonic() - self._began, 3)}

    def as_json(self) -> dict[str, Any]:
        """The content of summary.json."""
        pairs = [asdict(pair) for pair in self.pairs.values()]
        content = {"format": FORMAT, "software": software(), "ended": self.ended, "totals": self.totals}
        return {**content, "options": dict(self.options), "pairs": pairs}

    def rows(self) -> list[dict[str, Any]]:
        """The lines of summary.csv."""
        return [{"pair": pair.pair, "status": pair.status, **pair.figures} for pair in self.pairs.values()]


class BatchWatcher(Watcher):
    """Is told how a batch goes on; does nothing with it."""

    def start(self, summary: Summary) -> None:
        """Before the first pair."""

    def pair(self, name: str) -> None:
        """A pair begins."""

    def done(self, pair: PairReport, summary: Summary) -> None:
        """A pair is done, kept or failed."""

    def end(self, summary: Summary) -> None:
        """The batch is over, finished or stopped."""


def tasks_of(path: Path) -> list[Task]:
    """The pairs of a list, see `pairs.read_pairs`; paths in it are seen from the list's folder.

    Columns: fixed, moving, and where wanted name and the names of `Inputs` (fixed_seg, moving_seg, fixed_mask, ...).
    Raises ConfigError for names that are none of a folder's.
    """
    known = [one.name for one in fields(Inputs)]
    tasks = []
    for pair in read_pairs(path):
        if not re.fullmatch(r"[^/\\\0]+", pair.name) or pair.name.startswith("."):
            raise ConfigError(f"{pair.name!r} in {path} is no name for a folder.", "Give the pair another `name`.")
        files = {name: _seen_from(path, pair.more[name]) for name in known if name in pair.more}
        tasks.append(Task(pair.name, _seen_from(path, pair.fixed), _seen_from(path, pair.moving), Inputs(**files)))
    return tasks


def _seen_from(path: Path, text: str) -> Path:
    return path.parent / Path(text).expanduser()


def run(
    tasks: Sequence[Task],
    out: Path,
    options: Options,
    *,
    models: Models | None = None,
    watcher: BatchWatcher | None = None,
) -> Summary:
    """Register all pairs, each into a folder of its name in `out`.

    Whole results of the same files, options and models are kept. summary.json and summary.csv are written after each
    pair. Raises BatchError at the end when pairs failed, and StoppedError when SIGTERM or SIGINT came: the pair at work
    is given up, and nothing of it stays.
    """
    watcher = watcher or BatchWatcher()
    runtime.device(options.device)  # what is wrong with it is wrong with every pair
    if not tasks:
        raise ConfigError("There is no pair to register.", "Give a list with at least one.")
    models = models or Models.load(options)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}.", "Choose another --out.") from error
    summary = Summary(options.as_json(), len(tasks))
    with stop_requests() as stop:
        watcher.start(summary)
        for task in tasks:
            if stop:
                break
            watcher.pair(task.name)
            try:
                report = _one(task, out, options, models, Stopping(watcher, stop))
            except StoppedError:
                break
            summary.pairs[task.name] = report
            _write(summary, out)
            watcher.done(report, summary)
        summary.ended = stop.name or "finished"
        _write(summary, out)
        watcher.end(summary)
    return _concluded(summary, out, stop)


class Stopping(Watcher):
    """Passes on what it is told, and ends the registration once the process was asked to stop."""

    def __init__(self, watcher: Watcher, stop: StopRequest) -> None:
        self._watcher, self._stop = watcher, stop

    def stage(self, name: str) -> None:
        """Pass on, or stop."""
        self._look()
        self._watcher.stage(name)

    def step(self, done: int, total: int) -> None:
        """Pass on, or stop."""
        self._look()
        self._watcher.step(done, total)

    def message(self, text: str) -> None:
        """Pass on."""
        self._watcher.message(text)

    def _look(self) -> None:
        if self._stop:
            raise StoppedError(f"Stopped by {self._stop.name}.", "Nothing was written.", self._stop.number)


def _one(task: Task, out: Path, options: Options, models: Models, watcher: Watcher) -> PairReport:
    """One pair; whatever is wrong with it, the others are still wanted."""
    folder = out / task.name
    try:
        if (there := _kept(folder, task, options, models)) is not None:
            return PairReport(task.name, "kept", figures=figures(there), warnings=tuple(there["warnings"]))
        outcome = register(task.fixed, task.moving, folder, options, task.inputs, models=models, watcher=watcher)
    except StoppedError:
        raise
    except Exception as error:
        if os.environ.get("MEDMAMBA_DEBUG") == "1":
            traceback.print_exception(error)
        return PairReport(task.name, "failed", error=reason(error))
    status: Status = "worse" if outcome.exit_code == WORSE else "done"
    seconds = float(outcome.report["seconds"]["all"])
    return PairReport(task.name, status, seconds, figures(outcome.report), outcome.warnings)


def _kept(folder: Path, task: Task, options: Options, models: Models) -> dict[str, Any] | None:
    """The report of a whole result that is there already, of the same files, options and models."""
    if not outputs.is_complete(folder):
        return None
    with suppress(MedMambaError):
        report = read_json(folder / outputs.REPORT)
        identity = identity_of(task.fixed, task.moving, task.inputs, options, models.digests)
        if is_same(report.get("identity", {}), identity) and "warnings" in report:
            return report
    return None


def figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of the table, out of the report of a pair."""
    scores, kept = report["scores"], report["outcome"]["kept"]
    dice = {stage: score.get("dice", {}).get("mean") for stage, score in scores.items()}
    residual = report["inverse_residual_mm"]
    return {
        "kept": kept,
        "dice_start": dice.get("start"),
        "dice_affine": dice.get("affine"),
        "dice": dice.get(kept),
        "tre_mm": scores[kept].get("tre_mm", {}).get("mean"),
        "folding_percent": report["deformation"]["folding_percent"],
        "inverse_p95_mm": None if residual is None else residual["p95"],
    }


def _write(summary: Summary, out: Path) -> None:
    """Both summaries; a full disk is told by the pairs that fail for it."""
    import csv

    with suppress(OSError):
        write_json(out / SUMMARY, summary.as_json())
        with replacing(out / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ("pair", "status", *_FIGURES), restval="")
            writer.writeheader()
            writer.writerows(summary.rows())


def _concluded(summary: Summary, out: Path, stop: StopRequest) -> Summary:
    finished = [out / pair.pair for pair in summary.of("done", "worse", "kept")]
    if stop:
        raise StoppedError(
            f"Stopped by {stop.name}: {len(finished)} of {summary.total} pairs are done.",
            "The same command does the rest.",
            stop.number,
        )
    if failures := {pair.pair: pair.error or "" for pair in summary.of("failed")}:
        raise BatchError(finished, failures, "pairs were registered")
    return summary
