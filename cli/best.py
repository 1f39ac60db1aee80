"""medmamba best: find the best trained model, or pair of models, of a dataset."""

from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .screen import number, print_json, print_table

if TYPE_CHECKING:
    from medmamba.nnunet.folds.best import Best


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba best --dataset Hippocampus",
            "medmamba best --dataset Hippocampus --net segmamba --net nnUNetTrainer --no-ensemble",
        )
    )(best)


def best(
    dataset: options.Dataset,
    net: Annotated[
        list[str] | None, typer.Option(help="Only this network or nnU-Net trainer; may be repeated.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Only networks of this preset.")] = None,
    config: Annotated[str | None, typer.Option(help="Only this nnU-Net configuration.")] = None,
    folds: Annotated[str, typer.Option("--folds", help="The cross-validation's folds.")] = "0-4",
    ensemble: Annotated[bool, typer.Option(help="Also try pairs whose probabilities were saved.")] = True,
    as_json: options.AsJson = False,
    data_root: options.DataRoot = None,
) -> None:
    """Compare all trained models of a dataset on their cross-validation; say how to predict with the best."""
    from medmamba.data.find import dataset_id
    from medmamba.data.folders import folders

    places = folders(data_root)
    number_of = dataset_id(dataset, places)
    places.export()
    from medmamba.nnunet import host
    from medmamba.nnunet.folds import instructions
    from medmamba.nnunet.folds.best import find_best
    from medmamba.nnunet.folds.parse import parse_folds

    found = find_best(
        number_of,
        parse_folds(folds),
        networks=net or (),
        preset=preset,
        configuration=config,
        ensembles=ensemble,
        say=lambda what: typer.echo(what, err=True),
    )
    name, root = host.dataset_name(number_of), options.root_again(data_root)
    written = instructions.write(found, name, root)
    if as_json:
        print_json(instructions.information(found, name, root))
        return
    _show(found)
    typer.echo(written.read_text(encoding="utf-8"))
    typer.echo(f"Also in {written}")


def _show(found: "Best") -> None:
    """The ranking, what post-processing does to the best, and what was not compared."""
    from medmamba.nnunet.folds.postprocess import describe
    from medmamba.nnunet.folds.scoring import LabelFiles

    rows = [(str(place), one.label, number(one.dice)) for place, one in enumerate(found.candidates, start=1)]
    print_table("Mean Dice on the cross-validation", ("", "model", "Dice"), rows, right=("Dice",))
    choice = found.choice
    before, after = ({**labels} for labels in (choice.before, choice.after))
    before["mean"], after["mean"] = choice.mean_before, choice.mean_after
    title = f"Post-processing of the best: {describe(choice.rules, LabelFiles.of(found.winner.folder))}"
    if choice.rules:
        columns = ("label", "Dice", "processed")
        print_table(title, columns, [(key, number(before[key]), number(after[key])) for key in before], columns[1:])
    else:
        typer.echo(title)
    for error in found.left_out:
        typer.secho(f"Not compared: {error.problem}", fg="yellow")
        typer.echo(f"  {error.remedy}")
    typer.echo("")
