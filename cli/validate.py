"""medmamba validate: predict and score the held-out cases of trained folds."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .screen import number, print_table

if TYPE_CHECKING:
    from medmamba.nnunet.folds.parse import Fold


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba validate --dataset Hippocampus --net umamba-bot --folds 0-4",
            "medmamba validate --dataset Hippocampus --net segmamba --folds 0-4 --save-probabilities",
            "medmamba validate --model nnUNetTrainer__nnUNetPlans__3d_fullres --folds 0,1",
        )
    )(validate)


def validate(
    dataset: Annotated[str | None, typer.Option(help="Dataset that the network was trained on.")] = None,
    net: Annotated[str | None, typer.Option(help="Network that was trained.")] = None,
    preset: options.Preset = "default",
    config: options.Config = "3d_fullres",
    model: Annotated[Path | None, typer.Option(help="Model folder, instead of --dataset and --net.")] = None,
    folds: Annotated[str, typer.Option("--folds", "--fold", help="0-4, 0,2,4 or all.")] = "0-4",
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Keep what ensembles are made from (.npz).")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Predict cases again that are up to date.")] = False,
    engine: Annotated[bool, typer.Option(help="On a CPU: the network in its fast form.")] = True,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, or fp16 on GPUs.")] = "auto",
    device: options.Device = "auto",
    data_root: options.DataRoot = None,
) -> None:
    """Predict and score the held-out cases of trained folds; cases that are up to date are kept."""
    from medmamba.data.folders import folders

    places = folders(data_root)
    places.export()
    from medmamba.engine import reuse_memory
    from medmamba.nnunet.folds.parse import parse_folds
    from medmamba.nnunet.folds.validation import validate as run

    chosen = parse_folds(folds)
    place = options.model_folder(model, dataset, net, preset, config, places)
    if engine:
        reuse_memory()
    for fold in chosen:
        result = run(
            place / f"fold_{fold}",
            device=device,
            engine=engine,
            precision=precision,
            save_probabilities=save_probabilities,
            overwrite=overwrite,
            on_case=partial(_told, fold),
        )
        assert result is not None, "this is the only process"
        typer.echo(f"fold {fold}: mean Dice {number(result.mean_dice)} in {result.cases} cases, {result.folder}")
    if len(chosen) > 1:
        show_crossval(place, chosen)


def _told(fold: "Fold", case: str, done: int, total: int) -> None:
    typer.echo(f"fold {fold}: {done}/{total} {case}")


def show_crossval(model_folder: Path, folds: Sequence["Fold"]) -> None:
    """Print the table of a cross-validation, after writing its summary."""
    from medmamba.nnunet.folds.crossval import summary

    found = summary(model_folder, folds)
    print_table(found.title, found.columns, found.rows(), right=found.columns[1:])
    typer.echo(f"Summary: {found.folder / 'summary.json'}")
