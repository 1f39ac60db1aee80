"""A batch that finishes: case after case, bad ones reported, every output whole, to be gone on with after any end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...stopping import StoppedError, StopRequest, stop_requests
from ..files.cases import Case
from ..files.writing import output_name, require_apart
from ..recipe import LoadedModel, Recipe
from . import outputs
from .ahead import Ahead
from .casework import CaseWork, InterruptedCaseError, Ready, Segmenter, Wanted
from .failures import BatchError, reason
from .outputs import Staging, staging
from .parts import part_of, report_name
from .report import FINISHED, CaseReport, Report, dumps, recorded

_SETTINGS = ("precision", "folds", "step_size", "mirror_axes", "fast")
"""What label maps depend on, of what a predictor says of itself."""
_PAUSE = 1.0
"""Seconds between two writings of the report while outputs are only looked at."""


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
class Outcome:
    """What a batch leaves behind."""

    report: Report
    report_file: Path
    written: list[Path]
    """Label maps in the order of the cases, those that were there already included."""


def keeper(
    cases: Sequence[Case], place: Staging, recipe: Recipe, report: Report, probabilities: bool
) -> Callable[[Case], CaseReport | None]:
    """case -> its report when its outputs are there, complete and not those of another model or other settings."""
    before = recorded(place.output, report.model, report.settings)
    report.before = {case.name: before[case.name] for case in cases if case.name in before} if before else {}

    def kept(case: Case) -> CaseReport | None:
        name = output_name(case, recipe)
        if before is not None and case.name not in before:
            return None
        if not outputs.is_complete(place.output / name, case, recipe, probabilities):
            return None
        old = (before or {}).get(case.name)
        labels, warnings = (None, ()) if old is None else (old.labels, old.warnings)
        return CaseReport(case.name, "kept", name, labels=labels, warnings=warnings)

    return kept


class Book:
    """The report of a batch, kept on the disk after each case."""

    def __init__(self, report: Report, place: Staging, name: str, watcher: Watcher) -> None:
        self.report, self.watcher = report, watcher
        self._place, self._name = place, name
        self._written = 0.0
        self._full = False

    @property
    def file(self) -> Path:
        """Where the report lies."""
        return self._place.output / self._name

    def begin(self, model: LoadedModel) -> None:
        """Write what goes with all cases, and a first report: older outputs must not be taken for this batch's."""
        self.write()
        try:
            outputs.write_model_files(self._place, model.plans, model.dataset)
        except OSError as error:
            self.watcher.message(f"plans.json and dataset.json cannot be written: {reason(error)}.")
        for note in model.notes:
            self.watcher.message(note)
        self.watcher.start(self.report)

    def add(self, case: CaseReport) -> None:
        """Note a case on the disk and tell it."""
        self.report.add(case)
        if case.status != "kept" or time.monotonic() - self._written > _PAUSE:
            self.write()
        self.watcher.done(case, self.report)

    def write(self) -> None:
        """Write the report; a full disk is told once and does not end the batch."""
        try:
            self._place.write_text(self._name, dumps(self.report.as_json()))
        except OSError as error:
            if not self._full:
                self.watcher.message(f"The report {self.file} cannot be written: {reason(error)}.")
            self._full = True
        self._written = time.monotonic()

    def end(self, how: str) -> None:
        """Note how the batch ended."""
        self.report.ended = how
        self.write()
        self.watcher.end(self.report)


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
    model, watcher = predictor.model, watcher or Watcher()
    wanted = Wanted.of(model, save_probabilities, roi, raw_labels)
    require_apart(cases, Path(output), model.recipe)
    report = start_report(model, predictor.description(), wanted, len(mine))
    report.part = None if num_parts == 1 else (part_id, num_parts)
    with stop_requests() as stop, staging(Path(output)) as place:
        kept = keeper(mine, place, model.recipe, report, wanted.probabilities) if resume else None
        work = CaseWork(predictor, place, wanted, stop)
        book = Book(report, place, report_name(num_parts, part_id), watcher)
        book.begin(model)

        def prepare(case: Case) -> Ready:
            there = None if kept is None else kept(case)
            return work.prepare(case) if there is None else Ready(case, report=there)

        _go_through(work, Ahead(mine, prepare, jobs, predictor.ahead), book, stop)
        book.end(stop.name or FINISHED)
    return conclude(report, book.file, mine, model, stop)


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
    return Report(
        about,
        {**settings, "roi": None if wanted.roi is None else sorted(wanted.roi), "raw_labels": wanted.raw_labels},
        how,
        total,
    )


def _go_through(work: CaseWork, ahead: "Ahead[Case, Ready]", book: Book, stop: StopRequest) -> None:
    """Finish every case that is made ready, until the end or until asked to stop."""
    for ready in ahead.in_order(lambda: bool(stop)):
        if ready.report is None:
            book.watcher.case(ready.case.name)
        try:
            book.add(work.finish(ready, book.watcher.tile))
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
