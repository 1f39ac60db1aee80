"""medmamba datasets check: every image and label of a dataset, looked at before hours are spent on them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .screen import case_bar, console, print_json

if TYPE_CHECKING:
    from medmamba.data.check.findings import CheckReport, Finding, Rounding
    from medmamba.data.check.fix import Refusal

_MOST_ROWS = 10
_WIDTH = 80


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba datasets check Hippocampus",
            "medmamba datasets check nnUNet_raw/Dataset004_Hippocampus --fix-affine",
        )
    )(check)


def check(
    dataset: Annotated[str, typer.Argument(help="Name or number of a dataset, or the folder of a raw dataset.")],
    fix_affine: Annotated[bool, typer.Option(help="Give files that differ by rounding channel 0's geometry.")] = False,
    processes: Annotated[int | None, typer.Option(min=0, help="Worker processes; default: one a core.")] = None,
    as_json: options.AsJson = False,
    data_root: options.DataRoot = None,
) -> None:
    """Examine every image and label of a raw dataset. Exit code 4 when something has to be mended."""
    from medmamba.data.check.fix import fix_geometry
    from medmamba.data.check.run import check as run

    folder = _folder(dataset, data_root)
    with case_bar() as on_case:
        report = run(folder, processes, on_case)
    fixed: tuple[Rounding, ...] = ()
    refused: tuple[Refusal, ...] = ()
    if fix_affine:
        fixed, refused = fix_geometry(report)
        report = report.without(one.file for one in fixed)
    if as_json:
        print_json(_as_json(report, fixed, refused))
    else:
        _show(report, fixed, refused, fix_affine)
    raise typer.Exit(report.exit_code or (4 if refused else 0))


def _folder(dataset: str, data_root: Path | None) -> Path:
    """A folder that looks like a raw dataset, else the raw folder of the dataset of that name."""
    given = Path(dataset).expanduser()
    if any(os.path.exists(given / part) for part in ("dataset.json", "imagesTr")):
        return given
    from medmamba.data.find import dataset_folder
    from medmamba.data.folders import folders

    return dataset_folder(dataset, folders(data_root))


def _as_json(report: "CheckReport", fixed: "Sequence[Rounding]", refused: "Sequence[Refusal]") -> dict[str, Any]:
    return {
        **report.as_json(),
        "fixed": [
            {"file": str(one.file), "reference": str(one.reference), "voxels": one.voxels, "mm": one.millimetres}
            for one in fixed
        ],
        "refused": [{"file": str(one.file), "text": one.text} for one in refused],
    }


def _show(report: "CheckReport", fixed: "Sequence[Rounding]", refused: "Sequence[Refusal]", fix_affine: bool) -> None:
    """One table a kind, what was repaired, and a line that sums up."""
    from medmamba.data.check.geometry import TOLERANCE

    def place(path: Path | None) -> str:
        return os.path.relpath(path, report.folder) if path else ""

    for found in report.by_kind().values():
        _table(found, place)
    if fixed:
        rows = [(place(one.file), f"moved by up to {one.millimetres:.3g} mm ({one.voxels:.3g} voxel)") for one in fixed]
        _print_rows(f"Geometry written anew: {len(fixed)} file(s)", "green", ("file", "difference"), rows)
    if refused:
        _print_rows("Geometry left alone", "red", ("file", "why"), [(place(one.file), one.text) for one in refused])
    screen = console()
    if report.roundings and not fix_affine:
        screen.print(
            f"{len(report.roundings)} file(s) differ by rounding (at most {TOLERANCE} voxel): --fix-affine mends them."
        )
    errors, warnings = len(report.errors), len(report.warnings)
    style = "red" if errors else "yellow" if warnings else "green"
    tests = f" and {report.test} test" if report.test else ""
    screen.print(
        f"{report.folder.name}: {report.training} training{tests} cases, {report.files} files: "
        f"{errors or 'no'} error{'s' * (errors != 1)}, {warnings or 'no'} warning{'s' * (warnings != 1)}.",
        style=f"bold {style}",
        markup=False,
    )


def _table(found: "Sequence[Finding]", place: Callable[[Path | None], str]) -> None:
    """All findings of one kind."""
    from medmamba.data.check.findings import KINDS

    kind = KINDS[found[0].kind]
    rows = [(place(one.file) or one.case, one.text) for one in found]
    title = f"{kind.severity}: {kind.title} ({len(found)})"
    _print_rows(title, "red" if kind.severity == "error" else "yellow", ("where", "what"), rows)
    _print_plain(f"  -> {kind.remedy}")


def _print_rows(title: str, style: str, columns: tuple[str, str], rows: Sequence[tuple[str, str]]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(columns[0], overflow="fold", max_width=34)
    table.add_column(columns[1], overflow="fold")
    for row in rows[:_MOST_ROWS]:
        table.add_row(*map(escape, row))
    if len(rows) > _MOST_ROWS:
        table.add_row(f"and {len(rows) - _MOST_ROWS} more", "--json lists all of them")
    screen = _narrow()
    screen.print(title, style=f"bold {style}", markup=False)
    screen.print(table)


def _print_plain(text: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    screen = _narrow()
    screen.print(Padding(Text(text.strip()), (0, 0, 1, 1)))


def _narrow() -> Any:
    screen = console()
    screen.soft_wrap = False
    if not screen.is_terminal:
        screen.width = max(screen.width, _WIDTH)
    return screen
