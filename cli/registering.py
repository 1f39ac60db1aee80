"""What `medmamba register` shows: the stage at work, and in the end what came of it."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.register.pair.batch import BatchWatcher, PairReport, Summary
    from medmamba.register.pair.options import Inputs, Options
    from medmamba.register.pair.run import Outcome
else:
    BatchWatcher = object  # commands import medmamba's parts only when they run; every method of it is here

_STAGES = {
    "read": "reading",
    "labels": "labelling both images",
    "affine": "affine",
    "network": "network",
    "search": "search",
    "optimise": "optimising",
    "measure": "measuring",
    "write": "writing",
    "picture": "drawing",
}
_LONG = 40
"""Pairs from which on the table shows only those that need a look."""
_NAME = 30


class Screen(BatchWatcher):
    """A line that stays in place on a terminal: the pair, the stage, how far it is. Without one, a line a pair.

    With `as_json` the standard output gets the report alone, and everything else goes to the standard error.
    """

    def __init__(self, as_json: bool) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stderr if as_json else sys.stdout, highlight=False, soft_wrap=True)
        self._as_json = as_json
        self._bar: Any = None
        self._task: Any = None
        self._pair = ""
        self._total = 0

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._put_up()
        return self

    def __exit__(self, *error: object) -> None:
        self._take_down()

    def stage(self, name: str) -> None:
        """Name the stage."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._pair}{_STAGES.get(name, name)}", completed=0, total=None)

    def step(self, done: int, total: int) -> None:
        """Move the bar within the stage."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=max(1, total))

    def message(self, text: str) -> None:
        """Print a sentence; a reader that has gone away does not end the work."""
        try:
            self._console.print(text, markup=False)
        except (OSError, SystemExit):
            self._console.quiet = True

    def start(self, summary: "Summary") -> None:
        """Note how many pairs there are."""
        self._total = summary.total

    def pair(self, name: str) -> None:
        """Name the pair."""
        self._pair = f"{_short(name)}: "

    def done(self, pair: "PairReport", summary: "Summary") -> None:
        """A line for each pair; on a terminal only for those that need a look."""
        if self._bar is not None and pair.status in ("done", "kept"):
            self._pair = f"{len(summary.pairs)}/{self._total} "
            return
        what = f"failed: {pair.error}" if pair.status == "failed" else pair.status
        seconds = "" if pair.seconds is None else f"  {pair.seconds:.1f} s"
        self.message(f"{len(summary.pairs)}/{self._total} {pair.pair}  {what}{seconds}")

    def end(self, summary: "Summary") -> None:
        """Take the line down and show what became of the pairs."""
        self._take_down()
        with suppress(OSError):
            if self._as_json:
                print_json(summary.as_json())
            else:
                show_summary(summary)

    def _put_up(self) -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.BarColumn(20),
            progress.TextColumn("{task.description}"),
            progress.TimeElapsedColumn(),
            console=self._console,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=4,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def _take_down(self) -> None:
        if self._bar is not None:
            with suppress(OSError, SystemExit):
                self._bar.stop()
            self._bar = None


def run_pair(fixed: Path, moving: Path, out: Path, options: "Options", inputs: "Inputs", as_json: bool) -> int:
    """Register, show, and return the exit code. Asked to stop, it ends at the next step and leaves nothing."""
    from medmamba.register import register
    from medmamba.register.pair.batch import Stopping
    from medmamba.stopping import stop_requests

    with stop_requests() as stop, Screen(as_json) as screen:
        outcome = register(fixed, moving, out, options, inputs, watcher=Stopping(screen, stop))
    with suppress(OSError):  # a screen that takes no more does not undo what was written
        if as_json:
            print_json(outcome.report)
        else:
            show_outcome(outcome)
    return outcome.exit_code


def run_batch(pairs: Path, out: Path, options: "Options", as_json: bool) -> None:
    """Register a list, and show."""
    from medmamba.register.pair.batch import run, tasks_of

    tasks = tasks_of(pairs)
    with Screen(as_json) as screen:
        run(tasks, out, options, watcher=screen)
    if not as_json:
        typer.echo(f"Results: {out}; summary.json and summary.csv tell of each pair")


def show_outcome(outcome: "Outcome") -> None:
    """Stage by stage how well the images fit, then what there is to know of the transform, then where it is."""
    report = outcome.report
    names = (Path(report[side]["path"]).name for side in ("moving", "fixed"))
    title = f"{' onto '.join(names)} ({report['similarity']['optimised']}: lower is better)"
    columns = ("stage", *_measures(report))
    rows = [_stage_row(name, score, columns[1:], report) for name, score in report["scores"].items()]
    print_table(title, columns, rows, right=columns[1:])
    for warning in outcome.warnings:
        typer.secho(f"Note: {warning}", fg="yellow")
    shape, residual = report["deformation"], report["inverse_residual_mm"]
    typer.echo(f"Result:   {report['outcome']['sentence']}")
    inverse = "not measured"
    if residual is not None:
        inverse = f"{_mm(residual['mean'])} off, 95 % within {_mm(residual['p95'])}"
    typer.echo(f"Field:    folding {shape['folding_percent']:.3g} %, SDlogJ {shape['sdlogj']:.3f}; inverse {inverse}")
    memory, seconds = report["peak_memory"] / 1e9, report["seconds"]["all"]
    typer.echo(f"Took:     {seconds:.1f} s, {memory:.2f} GB at most")
    typer.echo(f"Written:  {outcome.folder}; look at qc.png")


def _mm(value: float) -> str:
    return f"{value:.2g} mm" if value >= 1e-6 else "0 mm"


def _measures(report: Mapping[str, Any]) -> list[str]:
    """The columns: what was optimised, and whatever else was measured."""
    first = next(iter(report["scores"].values()))
    found = {"dice": "Dice", "hd95_mm": "HD95 mm", "tre_mm": "TRE mm"}
    return [report["similarity"]["optimised"], "correlation", *(found[key] for key in found if key in first)]


def _stage_row(name: str, score: Mapping[str, Any], columns: Any, report: Mapping[str, Any]) -> list[str]:
    keys = {"Dice": "dice", "HD95 mm": "hd95_mm", "TRE mm": "tre_mm"}
    cells = [name + (" (kept)" if name == report["outcome"]["kept"] else "")]
    for column in columns:
        value = score[keys[column]]["mean"] if column in keys else score["similarity"].get(column)
        cells.append("-" if value is None else f"{value:.3f}")
    return cells


def show_summary(summary: "Summary") -> None:
    """A line a pair; of a long batch only what failed or got worse. Totals below."""
    pairs = list(summary.pairs.values())
    shown = pairs if len(pairs) <= _LONG else summary.of("failed", "worse")
    if shown:
        columns = ("pair", "status", "Dice before", "Dice", "folding %", "inverse mm")
        title = "Pairs" if len(pairs) <= _LONG else "Pairs that need a look"
        print_table(title, columns, map(_pair_row, shown), right=columns[2:])
    totals = summary.totals
    parts = [f"{totals[name]} {name}" for name in ("done", "kept", "worse", "failed", "left") if totals[name]]
    count = f"{totals['pairs']} pair{'s' if totals['pairs'] != 1 else ''}"
    typer.echo(f"{count}: {', '.join(parts) or 'none'}; {totals['seconds']:.0f} s")


def _pair_row(pair: "PairReport") -> list[str]:
    numbers = [pair.figures.get(name) for name in ("dice_start", "dice", "folding_percent", "inverse_p95_mm")]
    cells = ["-" if value is None else f"{value:.3f}" for value in numbers]
    status = f"{pair.status}, see report" if pair.warnings and pair.status != "failed" else pair.status
    return [_short(pair.pair), status, *cells]


def _short(name: str) -> str:
    """A name that leaves room for the other columns; its end tells pairs apart."""
    return name if len(name) <= _NAME else f"...{name[3 - _NAME :]}"
