"""medmamba evaluate: score segmentations against reference labels."""

from pathlib import Path
from typing import Annotated

import typer

from medmamba.errors import ConfigError

from . import options
from .screen import number, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba evaluate --pred predictions --ref labelsTs --dataset Hippocampus",
            "medmamba evaluate --pred predictions --ref labelsTs --labels dataset.json --json > report.json",
        )
    )(evaluate)


def evaluate(
    pred: Annotated[Path, typer.Option(help="Folder of segmentations.")],
    ref: Annotated[Path, typer.Option(help="Folder of reference labels of the same names.")],
    dataset: Annotated[str | None, typer.Option(help="Take the labels or regions from this dataset.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Take them from this dataset.json.")] = None,
    as_json: options.AsJson = False,
    data_root: options.DataRoot = None,
) -> None:
    """Dice per label or region and its mean. Fails when a case is missing or geometries differ."""
    from medmamba.data.find import dataset_json
    from medmamba.data.folders import folders
    from medmamba.evaluate.overlap import POLICY, evaluate_folder, labels_of
    from medmamba.files import read_json

    if (dataset is None) == (labels is None):
        raise ConfigError("Which labels?", "Give either --dataset NAME or --labels dataset.json.")
    content = read_json(labels) if labels else dataset_json(str(dataset), folders(data_root))
    report = evaluate_folder(pred, ref, labels_of(content), content.get("file_ending", ".nii.gz"))
    if as_json:
        print_json(report.as_json())
        return
    rows = [
        (name, number(one.dice), number(one.std), str(one.scored), str(one.empty))
        for name, one in report.labels.items()
    ]
    rows.append(("mean", number(report.mean_dice), "", "", ""))
    columns = ("label", "Dice", "sd", "cases", "empty")
    print_table(f"{len(report.cases)} cases ({POLICY})", columns, rows, right=columns[1:])
