"""medmamba compare: what medmamba evaluate wrote, of two or more methods on the same cases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .screen import number, print_json, print_table

if TYPE_CHECKING:
    from medmamba.evaluate.compare import Comparison
    from medmamba.twins import Outcome

_TWINS = "What the scan buys"
_MEANS = ("method", "measure", "cases", "mean", "95 % interval", "runs", "mean of runs", "sd")
_TESTS = ("method", "target", "measure", "difference", "95 % interval", "better/worse", "p", "corrected p")
_CHANGES = ("method", "case", "before", "after", "difference", "most in")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba compare baseline_scores new_scores",
            "medmamba compare unet='unet_seed*' mamba=mamba_seed0,mamba_seed1 --out comparison",
            "medmamba compare --twins --dataset Hippocampus --net umamba-bot --preset small --folds 0-4",
        )
    )(compare)


def compare(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]FOLDER[,FOLDER]...",
            help="What medmamba evaluate --out wrote, the baseline first; several folds or seeds with commas or *.",
        ),
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="dice, nsd, hd95_mm, ...; may be given again. Default: these three.")
    ] = None,
    most: Annotated[int, typer.Option(min=0, help="Cases to name that changed most.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Folder for compare.json.")] = None,
    as_json: options.AsJson = False,
    twins: Annotated[
        bool, typer.Option("--twins", help="A network against itself without its scan.", rich_help_panel=_TWINS)
    ] = False,
    dataset: Annotated[str | None, typer.Option(help="Preprocessed dataset.", rich_help_panel=_TWINS)] = None,
    net: Annotated[str | None, typer.Option(help="Network.", rich_help_panel=_TWINS)] = None,
    preset: Annotated[str, typer.Option(help="Of the network.", rich_help_panel=_TWINS)] = "default",
    twin: Annotated[
        list[str] | None,
        typer.Option(help="conv (default): a gated convolution; identity: nothing; or both.", rich_help_panel=_TWINS),
    ] = None,
    folds: Annotated[str, typer.Option(help="0-4, 0,2,4.", rich_help_panel=_TWINS)] = "0-4",
    config: Annotated[str, typer.Option(help="nnU-Net configuration.", rich_help_panel=_TWINS)] = "3d_fullres",
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the preset's.", rich_help_panel=_TWINS)] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Of an epoch.", rich_help_panel=_TWINS)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.", rich_help_panel=_TWINS)] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="The same for all.", rich_help_panel=_TWINS)] = 0,
    data_root: options.DataRoot = None,
) -> None:
    """Paired tests of every method against the first, its spread over folds and seeds, and the cases that changed most.

    The test is Wilcoxon's signed-rank test over cases, corrected for the number of tests by Holm's method. A case that
    several runs of a method have counts once, with its mean over them.

    With --twins the network and its twins are trained alike, as far as they are not yet, and what the scan adds on the
    held-out cases of the folds is tested; --out (default medmamba_twins) gets the scores of all of them.
    """
    from medmamba.errors import ConfigError
    from medmamba.evaluate.compare import MEASURES

    if (twins and methods) or (not twins and (dataset or net)):
        raise ConfigError("Evaluations and a network are two comparisons.", "Give folders, or --twins with --net.")
    measures = measure or MEASURES
    if twins:
        training = {"preset": preset, "configuration": config, "epochs": epochs, "iterations": iterations}
        training |= {"device": device, "seed": seed}
        wanted = {"twins": twin or ("conv",), "measures": measures, "most": most} | ({"out": out} if out else {})
        found = _of_twins(dataset, net, folds, data_root, training, wanted)
        if as_json:
            print_json(found.as_json())
        else:
            _show_twins(found)
        return
    from medmamba.evaluate.compare import compare as run
    from medmamba.evaluate.runs import read_method
    from medmamba.files import writable, write_json

    comparison = run([read_method(text) for text in methods or ()], measures, most)
    content = comparison.as_json()
    if out is not None:
        with writable(out):
            write_json(out / "compare.json", content)
    if as_json:
        print_json(content)
        return
    _show(comparison)
    if out is not None:
        typer.echo(f"All of it: {out / 'compare.json'}")


def _of_twins(
    dataset: str | None,
    net: str | None,
    folds: str,
    data_root: Path | None,
    training: dict[str, Any],
    wanted: dict[str, Any],
) -> "Outcome":
    """Train and compare, with a bar for each training."""
    from medmamba.data.find import dataset_id
    from medmamba.data.folders import folders
    from medmamba.errors import ConfigError

    if dataset is None or net is None:
        raise ConfigError("Which network, and on which data?", "Give --dataset and --net with --twins.")
    places = folders(data_root)
    number = dataset_id(dataset, places)
    places.export()
    from medmamba.nnunet.folds.parse import parse_folds
    from medmamba.nnunet.training import TrainOptions
    from medmamba.nnunet.watching.history import HistoryFile
    from medmamba.twins import TwinOptions, run

    from .progress import training_bar

    with training_bar() as bar:

        def tell(who: str, what: str) -> None:
            bar.message(f"{who}, {what}")

        chosen = TwinOptions(TrainOptions(network=net, **training), parse_folds(folds), **wanted)
        return run(number, chosen, tell, [bar, HistoryFile(bar.message)])


def _show_twins(found: "Outcome") -> None:
    for twin, comparison in found.comparisons.items():
        typer.echo(f"\nThe scan against {twin}: positive differences of Dice are what the scan adds.")
        _show(comparison)
    rows = [(name, f"{seconds:.1f}") for name, seconds in found.seconds.items()]
    print_table("What it costs", ("network", "s an epoch"), rows, right=("s an epoch",))
    typer.echo(f"All of it: {found.file}")


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
