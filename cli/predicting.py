"""What `medmamba predict` shows: a bar over cases and tiles, and in the end a table."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.predict.batch.report import CaseReport, Report
    from medmamba.predict.batch.run import Outcome, Watcher
else:
    Watcher = object  # commands import medmamba's parts only when they run; every method of Watcher is here

_LONG = 40
"""Cases from which on the table shows only those that failed."""
_NAME = 36
"""Characters of a case's name that a line of 80 has room for."""


class BatchScreen(Watcher):
    """A bar with the time that is left on a terminal, else a line a case; the table, or JSON, when the batch is over.

    With `as_json` the standard output gets the report alone, and everything else goes to the standard error.
    """

    def __init__(self, as_json: bool) -> None:
        from rich.console import Console

        self._as_json = as_json
        self._console = Console(file=sys.stderr if as_json else sys.stdout, highlight=False, soft_wrap=True)
        self._bar: Any = None
        self._task: Any = None
        self._seen = 0

    def __enter__(self) -> "BatchScreen":
        return self

    def __exit__(self, *error: object) -> None:
        self._take_down()

    def start(self, report: "Report") -> None:
        """Say what runs where, and put up the bar."""
        how = report.how
        reason = f" ({how['reason']})" if how.get("reason") else ""
        self.message(f"Model:     {report.model['name']}")
        self.message(f"Precision: {how.get('precision', '-')}{reason} on {how.get('device', '-')}")
        if self._console.is_terminal:
            self._put_up(report.total)

    def case(self, name: str) -> None:
        """Name the case at work."""
        if self._bar is not None:
            self._bar.update(self._task, description=_short(name), tiles="")

    def tile(self, done: int, total: int) -> None:
        """Move the bar by a tile."""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._seen + done / max(1, total), tiles=f"tile {done}/{total}")

    def done(self, case: "CaseReport", report: "Report") -> None:
        """Move the bar by a case, or print a line."""
        self._seen = len(report.cases)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._seen)
            if case.status == "failed":
                self.message(f"{case.case}: failed: {case.error}")
            return
        what = {"done": f"{sum(case.seconds.values()):.1f} s", "kept": "kept"}.get(case.status, f"failed: {case.error}")
        self.message(f"{self._seen}/{report.total} {case.case}  {what}")

    def message(self, text: str) -> None:
        """Print a sentence; a reader that has gone away does not end the batch."""
        try:
            self._console.print(text, markup=False)
        except (OSError, SystemExit):
            self._console.quiet = True

    def end(self, report: "Report") -> None:
        """Take the bar down and show what became of the cases."""
        self._take_down()
        with suppress(OSError):
            if self._as_json:
                print_json(report.as_json())
            else:
                show_cases(report)

    def _put_up(self, total: int) -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.BarColumn(20),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.description} {task.fields[tiles]}"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=self._console,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", total=total, tiles="")
        self._bar.start()

    def _take_down(self) -> None:
        if self._bar is not None:
            with suppress(OSError, SystemExit):
                self._bar.stop()
            self._bar = None


def show_cases(report: "Report") -> None:
    """A line a case; of a long batch only what failed. Totals below."""
    cases = list(report.cases.values())
    shown = cases if len(cases) <= _LONG else report.of("failed")
    if shown:
        columns = ("case", "seconds", "peak memory", "labels", "status")
        title = "Cases" if shown is cases or len(cases) <= _LONG else "Cases that failed"
        print_table(title, columns, map(_row, shown), right=columns[1:4])
    totals = report.totals
    peak = totals["peak_memory"]
    parts = [f"{totals[name]} {name}" for name in ("done", "kept", "failed", "left") if totals[name]]
    memory = f", at most {_memory(peak)}" if peak else ""
    count = f"{totals['cases']} case{'s' if totals['cases'] != 1 else ''}"
    typer.echo(f"{count}: {', '.join(parts) or 'none'}; {totals['seconds']:.0f} s{memory}")


def _row(case: "CaseReport") -> Sequence[str]:
    seconds = f"{sum(case.seconds.values()):.1f}" if case.seconds else "-"
    labels = "-" if case.labels is None else str(len(case.labels))
    status = f"{case.status}, see report" if case.warnings else case.status
    return _short(case.case), seconds, _memory(case.peak_memory), labels, status


def _memory(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e9:.2f} GB"


def _short(name: str) -> str:
    """A name that leaves room for the other columns; its end tells cases apart."""
    return name if len(name) <= _NAME else f"...{name[3 - _NAME :]}"


def show_outcome(outcome: "Outcome", output: Path) -> None:
    """Where everything is, and what comes next."""
    typer.echo(f"Segmentations: {len(outcome.written)} in {output}")
    typer.echo(f"Report:        {outcome.report_file}")
    typer.echo(f"Next:          medmamba evaluate --pred {shlex.quote(str(output))} --ref LABELS --dataset NAME")
