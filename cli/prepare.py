"""medmamba datasets prepare: from a download to nnU-Net's raw layout."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medmamba.errors import DataError

from . import options
from .screen import console, print_json, print_table

if TYPE_CHECKING:
    from medmamba.data.prepare.run import Prepared

_SHOWN = 5
"""Names of a list that are shown on screen; --json gives all."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba datasets prepare BraTS2023 --from ~/Downloads/BraTS",
            "medmamba datasets prepare ./mine.toml --from my_images --copy",
        )
    )(prepare)


def prepare(
    name: Annotated[str, typer.Argument(help="Name of a dataset card, or a card's file (ending in .toml).")],
    source: Annotated[Path, typer.Option("--from", help="Folder into which the download was unpacked.")],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy files that need no change, instead of linking them.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Files worked on at a time; default: one a core.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Exit code 0 though cases were left out.")
    ] = False,
    as_json: options.AsJson = False,
    data_root: options.DataRoot = None,
) -> None:
    """Turn a download into a dataset that can be trained on. The download is never changed.

    Files that need no change are hard links where the file system allows it, else copies. A second run does only what
    is new or changed. Cases that lack a file are left out and named, and the exit code is 4.
    """
    from medmamba.data.cards import card
    from medmamba.data.folders import folders
    from medmamba.data.prepare.run import prepare as run

    known = card(name)
    with _bar(quiet=as_json) as tick:
        done = run(known, source, folders(data_root).raw, copy=copy, processes=processes, tick=tick)
    if as_json:
        print_json(_content(done))
    else:
        _show(done)
        typer.echo(f"Next: medmamba datasets check {shlex.quote(known.name)}{options.root_again(data_root)}")
    if (done.incomplete or done.foreign) and not allow_missing:
        raise typer.Exit(DataError.exit_code)


@contextmanager
def _bar(quiet: bool) -> Iterator[Any]:
    """A progress bar over files on a terminal; nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console()
    columns = (TextColumn("files"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=quiet or not screen.is_terminal, transient=True) as progress:
        task = progress.add_task("files", total=None)
        yield lambda count, total: progress.update(task, completed=count, total=total)


def _content(done: "Prepared") -> dict[str, Any]:
    return {
        "folder": str(done.folder),
        "numTraining": done.training,
        "cases": {split: {"expected": card, "found": there} for split, (card, there) in done.counts.items()},
        "files": {key: getattr(done, key) for key in ("linked", "copied", "converted", "kept")},
        **{key: getattr(done, key) for key in ("incomplete", "unlabelled", "extra", "foreign", "removed")},
    }


def _show(done: "Prepared") -> None:
    rows = [(split, str(card or "?"), str(there)) for split, (card, there) in done.counts.items()]
    print_table("Cases", ("split", "on the card", "here"), rows, right=("on the card", "here"))
    files = {key: getattr(done, key) for key in ("linked", "copied", "converted", "kept")}
    typer.echo("Files: " + ", ".join(f"{count} {key}" for key, count in files.items() if count))
    typer.echo(f"Dataset: {done.folder}")
    _list("Left out", [f"{case}: {'; '.join(problems)}" for case, problems in done.incomplete.items()])
    _list("Without a label, left out as the card says", done.unlabelled)
    _list("In the download, but unknown to the card", done.extra)
    _list("In the dataset, but not made by this command", done.foreign)
    _list("Removed, because their source is gone", done.removed)


def _list(title: str, lines: list[str]) -> None:
    if not lines:
        return
    typer.echo(f"{title} ({len(lines)}):")
    for line in lines[:_SHOWN]:
        typer.echo(f"  {line}")
    if len(lines) > _SHOWN:
        typer.echo(f"  and {len(lines) - _SHOWN} more; --json names all")
