"""A batch that finishes: case after case, bad ones reported, every output whole, to be gone on with after any end."""

import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..nnunet.loop.stopping import StoppedError, StopRequest, stop_requests
from . import outputs
from .ahead import Ahead
from .cases import Case
from .failures import BatchError, reason
from .headers import probe
from .outputs import Staging, staging
from .parts import part_of, report_name
from .peak import PeakMemory
from .recipe import LoadedModel
from .report import CaseReport, Report, dumps, recorded
from .writing import output_name

_SETTINGS = ("precision", "engine", "folds", "step_size", "mirror_axes", "fast")
"""What label maps depend on, of what a predictor says of itself."""
_PAUSE = 1.0
"""Seconds between two writings of the report while outputs are only looked at."""


class Segmenter(Protocol):
    """What a batch asks of a predictor; `predictor.Predictor` is one."""

    model: LoadedModel

    def description(self) -> Mapping[str, Any]:
        """What the network runs on and how, for the report."""

    def ahead(self, case: Case) -> bool:
        """Whether there is memory to prepare this case while another one is in the network."""

    def prepare(self, case: Case) -> Any:
        """Read, check and preprocess; in any thread."""

    def finish(
        self,
        prepared: Any,
        file: Path,
        probabilities: bool = False,
        on_tile: Callable[[int, int], None] | None = None,
        roi: Sequence[str] | None = None,
        raw_labels: bool = False,
    ) -> Any:
        """Network, export, writing -> `seconds`, `warnings`, `labels`, `gpu_memory`."""


class Watcher:
    """Is told how a batch goes on; does nothing with it."""

    def start(self, report: Report) -> None:
        """Before the first case."""

    def case(self, name: str) -> None:
        """A case goes into the network."""

    def tile(self, done: int, total: int) -> None:
        """The network has done so many of this case's tiles."""

    def done(self, case: CaseReport, report: Report) -> None:
        """A case is done, kept or failed."""

    def message(self, text: str) -> None:
        """A sentence for the user."""

    def end(self, report: Report) -> None:
        """The batch is over, finished or stopped."""


@dataclass(frozen=True)
class Wanted:
    """What is written for each case."""

    probabilities: bool = False
    roi: tuple[str, ...] | None = None
    """Only these labels, by name or value; None: all."""
    raw_labels: bool = False
    """In the label values of the dataset as it was downloaded."""
    resume: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a batch leaves behind."""

    report: Report
    report_file: Path
    written: list[Path]
    """Label maps in the order of the cases, those that were there already included."""


class InterruptedCaseError(Exception):
    """A case was left in the middle because the process was asked to stop."""


@dataclass(frozen=True)
class Ready:
    """A case that can go into the network, or what became of it before that."""

    case: Case
    prepared: Any = None
    report: CaseReport | None = None


class CaseWork:
    """One case from its files to its outputs, in two halves of which the first may run in another thread."""

    def __init__(
        self,
        predictor: Segmenter,
        place: Staging,
        wanted: Wanted,
        stop: StopRequest,
        before: Mapping[str, CaseReport] | None,
    ) -> None:
        self._predictor, self._place, self._wanted, self._stop = predictor, place, wanted, stop
        self._before = before
        """Cases that may be kept if their outputs are complete; None: all."""

    def prepare(self, case: Case) -> Ready:
        """The first half. Never raises: what is wrong with a case is in its report."""
        recipe = self._predictor.model.recipe
        try:
            if self._wanted.resume and (kept := self._kept(case)):
                return Ready(case, report=kept)
            outputs.require_space(self._place.output, probe(case, recipe).shape, recipe, self._wanted.probabilities)
            return Ready(case, prepared=self._predictor.prepare(case))
        except Exception as error:  # whatever is wrong with one case, the others are still wanted
            return Ready(case, report=_failed(case, error))

    def finish(self, ready: Ready, on_tile: Callable[[int, int], None]) -> CaseReport:
        """The second half. Raises nothing but InterruptedCaseError."""

        def tile(done: int, total: int) -> None:
            on_tile(done, total)
            if self._stop and done < total:
                raise InterruptedCaseError

        if ready.report is not None:
            return ready.report
        name = output_name(ready.case, self._predictor.model.recipe)
        wanted = self._wanted
        try:
            with PeakMemory() as peak, self._place.case(name) as file:
                notes = self._predictor.finish(
                    ready.prepared,
                    file,
                    wanted.probabilities,
                    on_tile=tile,
                    roi=wanted.roi,
                    raw_labels=wanted.raw_labels,
                )
        except InterruptedCaseError:
            raise
        except Exception as error:
            return _failed(ready.case, error, peak.bytes)
        seconds = {stage: round(value, 3) for stage, value in notes.seconds.items()}
        gpu, warnings = getattr(notes, "gpu_memory", None), tuple(notes.warnings)
        return CaseReport(ready.case.name, "done", name, seconds, peak.bytes, gpu, tuple(notes.labels), warnings)

    def _kept(self, case: Case) -> CaseReport | None:
        """The report of a case whose outputs are there, complete and not those of other settings."""
        recipe = self._predictor.model.recipe
        name = output_name(case, recipe)
        if self._before is not None and case.name not in self._before:
            return None
        if not outputs.is_complete(self._place.output / name, case, recipe, self._wanted.probabilities):
            return None
        old = (self._before or {}).get(case.name)
        if old is None:
            return CaseReport(case.name, "kept", name)
        return CaseReport(case.name, "kept", name, {}, None, None, old.labels, old.warnings)


def _failed(case: Case, error: Exception, peak: int | None = None) -> CaseReport:
    if os.environ.get("MEDMAMBA_DEBUG") == "1":
        traceback.print_exception(error)
    return CaseReport(case.name, "failed", peak_memory=peak, error=reason(error))


class Book:
    """The report of a batch, kept on the disk after each case."""

    def __init__(self, report: Report, place: Staging, name: str, watcher: Watcher) -> None:
        self.report, self._place, self._name, self._watcher = report, place, name, watcher
        self._written = 0.0
        self._full = False

    @property
    def file(self) -> Path:
        """Where the report lies."""
        return self._place.output / self._name

    def add(self, case: CaseReport) -> None:
        """Note a case on the disk and tell it."""
        self.report.add(case)
        if case.status != "kept" or time.monotonic() - self._written > _PAUSE:
            self.write()
        self._watcher.done(case, self.report)

    def write(self) -> None:
        """Write the report; a full disk is told once and does not end the batch."""
        try:
            self._place.write_text(self._name, dumps(self.report.as_json()))
        except OSError as error:
            if not self._full:
                self._watcher.message(f"The report {self.file} cannot be written: {reason(error)}.")
            self._full = True
        self._written = time.monotonic()

    def end(self, how: str) -> None:
        """Note how the batch ended."""
        self.report.ended = how
        self.write()
        self._watcher.end(self.report)


def run(
    predictor: Segmenter,
    cases: Sequence[Case],
    output: Path,
    *,
    resume: bool = False,
    save_probabilities: bool = False,
    jobs: int = 1,
    num_parts: int = 1,
    part_id: int = 0,
    roi: Sequence[str] | None = None,
    raw_labels: bool = False,
    watcher: Watcher | None = None,
) -> Outcome:
    """Segment all cases, or one part of them, into a folder.

    Parameters
    ----------
    resume: keep outputs that are complete and, where a report tells, of this model and these settings.
    save_probabilities: also CASE.npz and CASE.pkl, which ensembles are made from.
    jobs: how many cases are prepared ahead of the one that is in the network; 0: none.
    num_parts, part_id: only every `num_parts`-th case from `part_id` on.
    roi: write only these labels. raw_labels: write the dataset's own label values.

    predict_report.json is rewritten after each case. Raises BatchError at the end when single cases failed, and
    StoppedError when SIGTERM or SIGINT came: the file in the making is completed, a case in the network is left.
    """
    mine = part_of(cases, num_parts, part_id)
    wanted = Wanted(save_probabilities, None if roi is None else tuple(roi), raw_labels, resume)
    watcher = watcher or Watcher()
    report = start_report(predictor.model, predictor.description(), wanted, len(mine))
    report.part = None if num_parts == 1 else (part_id, num_parts)
    with stop_requests() as stop, staging(Path(output)) as place:
        before = recorded(place.output, report.model, report.settings) if resume else None
        work = CaseWork(predictor, place, wanted, stop, before)
        book = Book(report, place, report_name(num_parts, part_id), watcher)
        begin(book, predictor.model, watcher)
        _go_through(mine, work, Ahead(mine, work.prepare, jobs, predictor.ahead), book, watcher, stop)
        book.end(stop.name or "finished")
    return conclude(report, book.file, mine, predictor.model, stop)


def start_report(model: LoadedModel, how: Mapping[str, Any], wanted: Wanted, total: int) -> Report:
    """The report of a batch before its first case."""
    about = {
        "name": model.name,
        "digest": model.digest,
        "trainer": model.trainer,
        "configuration": model.recipe.configuration,
        "folds": list(model.folds),
        "notes": list(model.notes),
    }
    settings = {name: how[name] for name in _SETTINGS if name in how}
    return Report(about, {**settings, "roi": wanted.roi, "raw_labels": wanted.raw_labels}, how, total)


def begin(book: Book, model: LoadedModel, watcher: Watcher) -> None:
    """Write what goes with all cases, and the first report, so that older outputs are not taken for this batch's."""
    book.write()
    try:
        outputs.write_model_files(book._place, model.plans, model.dataset)
    except OSError as error:
        watcher.message(f"plans.json and dataset.json cannot be written: {reason(error)}.")
    for note in model.notes:
        watcher.message(note)
    watcher.start(book.report)


def _go_through(
    cases: Sequence[Case],
    work: CaseWork,
    ahead: "Ahead[Case, Ready]",
    book: Book,
    watcher: Watcher,
    stop: StopRequest,
) -> None:
    """Finish every case that is made ready, until the end or until asked to stop."""
    for ready in ahead.in_order(lambda: bool(stop)):
        if ready.report is None:
            watcher.case(ready.case.name)
        try:
            book.add(work.finish(ready, watcher.tile))
        except InterruptedCaseError:
            return
        del ready  # the next one needs its memory


def conclude(report: Report, file: Path, cases: Sequence[Case], model: LoadedModel, stop: StopRequest) -> Outcome:
    """What a batch that has ended returns, or raises."""
    failures = {case.case: case.error or "" for case in report.of("failed")}
    written = [
        file.parent / output_name(case, model.recipe)
        for case in cases
        if case.name in report.cases and case.name not in failures
    ]
    if stop:
        raise StoppedError(
            f"Stopped by {stop.name}: {len(written)} of {report.total} cases are done.",
            "The same command with --resume does the rest.",
            stop.number,
        )
    if failures:
        raise BatchError(written, failures)
    return Outcome(report, file, written)
