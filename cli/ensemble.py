"""medmamba ensemble: average the predictions of several models."""

from pathlib import Path
from typing import Annotated

import typer

from . import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba ensemble --input predictions_1 --input predictions_2 --output predictions",
        )
    )(ensemble)


def ensemble(
    input: Annotated[list[Path], typer.Option(help="Folder predicted with --save-probabilities; repeat it.")],
    output: Annotated[Path, typer.Option(help="Folder for the segmentations.")],
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also keep the mean probabilities (.npz).")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Write segmentations again that are there already.")] = True,
) -> None:
    """Average the saved probabilities of several models into one segmentation per case."""
    from medmamba.nnunet.folds.ensemble import ensemble as run

    written = run(
        input,
        output,
        save_probabilities=save_probabilities,
        overwrite=overwrite,
        on_case=lambda case, done, total: typer.echo(f"{done}/{total} {case}"),
    )
    typer.echo(f"Segmentations: {len(written)} in {output}")
