"""A batch that finishes: case after case, bad ones reported, every output whole, to be gone on with after any end."""

from collections.abc import Sequence
from pathlib import Path

from ...stopping import StopRequest, stop_requests
from ..files.cases import Case
from ..files.writing import OutputFormat
from .ahead import Ahead
from .book import Book, Watcher
from .casework import CaseWork, InterruptedCaseError, Ready, Segmenter
from .outputs import staging
from .report import FINISHED
from .task import Outcome, Task

__all__ = ["Outcome", "Watcher", "run"]


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
    output_format: OutputFormat = "auto",
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
    output_format: "dicom-seg" for DICOM segmentations of DICOM series, see `files.segmentation`.

    predict_report.json is rewritten after each case. Raises BatchError at the end when single cases failed, and
    StoppedError when SIGTERM or SIGINT came: the file in the making is completed, a case in the network is left.
    """
    task = Task.of(
        predictor.model,
        cases,
        Path(output),
        resume=resume,
        save_probabilities=save_probabilities,
        num_parts=num_parts,
        part_id=part_id,
        roi=roi,
        raw_labels=raw_labels,
        output_format=output_format,
    )
    with stop_requests() as stop, staging(Path(output)) as place:
        book, kept = task.begin(place, predictor.description(), watcher)
        work = CaseWork(predictor, place, task.wanted, stop)

        def prepare(case: Case) -> Ready:
            there = kept(case)
            return work.prepare(case) if there is None else Ready(case, report=there)

        _go_through(work, Ahead(task.cases, prepare, jobs, predictor.ahead), book, stop)
        book.end(stop.name or FINISHED)
    return task.conclude(book, stop)


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
