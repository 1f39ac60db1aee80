"""What a batch is before its first case and after its last, whether one process does it or a fleet of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...stopping import StoppedError, StopRequest
from ..files.cases import Case
from ..files.segmentation import require_dicom
from ..files.writing import OutputFormat, require_apart
from ..recipe import LoadedModel, Recipe
from . import outputs
from .book import Book, Watcher
from .casework import Wanted
from .failures import BatchError
from .outputs import Staging
from .parts import part_of, report_name
from .report import CaseReport, Report, recorded

_SETTINGS = ("precision", "folds", "step_size", "mirror_axes", "fast", "uid_seed")
"""What label maps depend on, of what a predictor says of itself."""
Keeper = Callable[[Case], CaseReport | None]
"""case -> its report when its outputs are there and may stay, else None."""


@dataclass(frozen=True)
class Outcome:
    """What a batch leaves behind."""

    report: Report
    report_file: Path
    written: list[Path]
    """Label maps in the order of the cases, those that were there already included."""


@dataclass(frozen=True, eq=False)
class Task:
    """A batch, or one part of it: which cases, by which model, and what is written of each."""

    model: LoadedModel
    cases: Sequence[Case]
    """Of this part."""
    wanted: Wanted
    resume: bool
    part: tuple[int, int]
    """(number of this part from 0 on, parts)."""

    @classmethod
    def of(
        cls,
        model: LoadedModel,
        cases: Sequence[Case],
        output: Path,
        *,
        resume: bool,
        save_probabilities: bool,
        num_parts: int,
        part_id: int,
        roi: Sequence[str] | None,
        raw_labels: bool,
        output_format: OutputFormat = "auto",
    ) -> "Task":
        """The wishes of a user, see `run.run`. Raises ConfigError for what the model or the cases do not allow."""
        mine = part_of(cases, num_parts, part_id)
        wanted = Wanted.of(model, save_probabilities, roi, raw_labels, output_format)
        if output_format == "dicom-seg":
            require_dicom(cases, output)
        require_apart(cases, output, model.recipe, output_format)
        return cls(model, mine, wanted, resume, (part_id, num_parts))

    def begin(self, place: Staging, how: Mapping[str, Any], watcher: Watcher | None) -> tuple[Book, Keeper]:
        """The book with its first page written, and what tells which cases are done already.

        how: what the predictor says of itself.
        """
        part_id, num_parts = self.part
        report = _report(self.model, how, self.wanted, len(self.cases))
        report.part = None if num_parts == 1 else self.part
        kept: Keeper = lambda case: None  # noqa: E731
        if self.resume:
            kept = _keeper(self.cases, place, self.model.recipe, report, self.wanted)
        book = Book(report, place, report_name(num_parts, part_id), watcher or Watcher())
        book.begin(self.model)
        return book, kept

    def conclude(self, book: Book, stop: StopRequest) -> Outcome:
        """What the batch, which has ended, leaves. Raises StoppedError or, when single cases failed, BatchError."""
        report = book.report
        failures = {case.case: case.error or "" for case in report.of("failed")}
        written = [
            book.file.parent / self.wanted.name(case, self.model.recipe)
            for case in self.cases
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
        return Outcome(report, book.file, written)


def _report(model: LoadedModel, how: Mapping[str, Any], wanted: Wanted, total: int) -> Report:
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


def _keeper(cases: Sequence[Case], place: Staging, recipe: Recipe, report: Report, wanted: Wanted) -> Keeper:
    """case -> its report when its outputs are there, complete and not those of another model or other settings."""
    before = recorded(place.output, report.model, report.settings)
    report.before = {case.name: before[case.name] for case in cases if case.name in before} if before else {}

    def kept(case: Case) -> CaseReport | None:
        name = wanted.name(case, recipe)
        if before is not None and case.name not in before:
            return None
        if not outputs.is_complete(place.output / name, case, recipe, wanted.probabilities):
            return None
        old = (before or {}).get(case.name)
        labels, warnings = (None, ()) if old is None else (old.labels, old.warnings)
        return CaseReport(case.name, "kept", name, labels=labels, warnings=warnings)

    return kept
