"""What commands share when they write to the screen: errors, tables, JSON."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from medmamba.errors import MedMambaError

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """A rich console on the present sys.stdout; rich is loaded only when something is drawn."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def show_error(error: MedMambaError) -> int:
    """Print what is wrong in red and what to do, or the traceback under MEDMAMBA_DEBUG=1; return the exit code."""
    if os.environ.get("MEDMAMBA_DEBUG") == "1":
        traceback.print_exception(error)
    else:
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1
        speaker = f"[process {os.environ.get('RANK', '0')}] " if several else ""
        typer.secho(speaker + error.problem, fg="red", bold=True, err=True)
        if error.remedy:
            typer.echo(error.remedy, err=True)
    return error.exit_code


def print_json(content: Any) -> None:
    """Print `content` as JSON for other programs."""
    typer.echo(json.dumps(content, indent=2))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = (), width: int = 80
) -> None:
    """Print a table; the columns named in `right` are right-aligned. `width`: at least, where there is no terminal."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=not place)
    for row in rows:
        table.add_row(*row)
    screen = console()
    screen.soft_wrap = False
    if not screen.is_terminal:
        screen.width = max(screen.width, width)
    screen.print(title, style="bold")
    screen.print(table)


@contextmanager
def case_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, which leaves stdout to the report; nothing without a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = Console(stderr=True)
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as progress:
        task = progress.add_task("starting", total=None)
        yield lambda case, done, count: progress.update(task, total=count, completed=done, description=escape(case))


def number(value: float | None) -> str:
    """A score with four digits, or a dash."""
    return "-" if value is None else f"{value:.4f}"
