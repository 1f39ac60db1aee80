"""medmamba compare: what medmamba evaluate wrote, of two or more methods on the same cases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .screen import number, print_json, print_table

if TYPE_CHECKING:
    from medmamba.evaluate.compare import Comparison

_MEANS = ("method", "measure", "cases", "mean", "95 % interval", "runs", "mean of runs", "sd")
_TESTS = ("method", "target", "measure", "difference", "95 % interval", "better/worse", "p", "corrected p")
_CHANGES = ("method", "case", "before", "after", "difference", "most in")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba compare baseline_scores new_scores",
            "medmamba compare unet='unet_seed*' mamba=mamba_seed0,mamba_seed1 --out comparison",
        )
    )(compare)


def compare(
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FOLDER[,FOLDER]...",
            help="What medmamba evaluate --out wrote, the baseline first; several folds or seeds with commas or *.",
        ),
    ],
    measure: Annotated[
        list[str] | None, typer.Option(help="dice, nsd, hd95_mm, ...; may be given again. Default: these three.")
    ] = None,
    most: Annotated[int, typer.Option(min=0, help="Cases to name that changed most.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Folder for compare.json.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Paired tests of every method against the first, its spread over folds and seeds, and the cases that changed most.

    The test is Wilcoxon's signed-rank test over cases, corrected for the number of tests by Holm's method. A case that
    several runs of a method have counts once, with its mean over them.
    """
    from medmamba.evaluate.compare import MEASURES
    from medmamba.evaluate.compare import compare as run
    from medmamba.evaluate.runs import read_method
    from medmamba.files import write_json

    comparison = run([read_method(text) for text in methods], measure or MEASURES, most)
    content = comparison.as_json()
    if out is not None:
        write_json(out / "compare.json", content)
    if as_json:
        print_json(content)
        return
    _show(comparison)
    if out is not None:
        typer.echo(f"All of it: {out / 'compare.json'}")


def _show(comparison: "Comparison") -> None:
    """Three tables: means, differences, cases."""
    rows: list[tuple[str, ...]] = []
    for method in comparison.methods:
        for measure, one in comparison.spreads[method.name].items():
            runs = f"{len(one.runs)} {method.repeats}".strip()
            within = f"{number(one.cases.low)} to {number(one.cases.high)}"
            means = number(one.mean), number(one.sd)
            rows.append((method.name, measure, str(one.cases.n), number(one.cases.mean), within, runs, *means))
    print_table("Mean over targets", _MEANS, rows, right=_MEANS[2:], width=110)
    rows = []
    for test in comparison.tests:
        apart = test.difference
        less = test.measure.endswith("_mm")
        better, worse = (apart.lower, apart.higher) if less else (apart.higher, apart.lower)
        counts = "-" if test.measure.startswith("volume") else f"{better}/{worse} of {apart.n}"
        within = f"{apart.low:+.4f} to {apart.high:+.4f}"
        values = (f"{apart.mean:+.4f}", within, counts, _chance(apart.p_value), _chance(test.corrected))
        rows.append((test.method, test.target, test.measure, *values))
    title = f"Paired differences, method minus {comparison.methods[0].name}"
    print_table(title, _TESTS, rows, right=_TESTS[3:], width=110)
    if comparison.changes:
        changed = [
            (one.method, one.case, number(one.first), number(one.other), f"{one.difference:+.4f}", one.target)
            for one in comparison.changes
        ]
        print_table("Cases whose Dice changed most", _CHANGES, changed, right=_CHANGES[2:5], width=110)
    for note in comparison.notes:
        typer.echo(note)


def _chance(p_value: float | None) -> str:
    return "-" if p_value is None else f"{p_value:.2g}"
