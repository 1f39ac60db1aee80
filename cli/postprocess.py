"""medmamba postprocess: apply the rules that `medmamba best` or nnU-Net found."""

from pathlib import Path
from typing import Annotated

import typer

from . import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba postprocess --input predictions --rules postprocessing.json --output predictions_pp",
        )
    )(postprocess)


def postprocess(
    input: Annotated[Path, typer.Option(help="Folder of segmentations.")],
    rules: Annotated[Path, typer.Option(help="nnU-Net's postprocessing.json or .pkl.")],
    output: Annotated[Path, typer.Option(help="Folder for the processed segmentations.")],
) -> None:
    """Keep only the largest component of the labels that a rules file names."""
    from medmamba.nnunet.folds.postprocess import describe, read_rules
    from medmamba.nnunet.folds.postprocess import postprocess as run

    typer.echo(f"Rules: {describe(read_rules(rules))}")
    written = run(input, rules, output, lambda case, done, total: typer.echo(f"{done}/{total} {case}"))
    typer.echo(f"Segmentations: {len(written)} in {output}")
