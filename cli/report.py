"""medmamba report: one HTML file with scores, pictures, a viewer and what the model is."""

from pathlib import Path
from typing import Annotated

import typer

from medmamba.errors import ConfigError

from . import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba report --metrics scores --images imagesTs --pred predictions --ref labelsTs --model model.tar",
            "medmamba report --pred predictions --images imagesTs --output pictures.html",
        )
    )(report)


def report(
    metrics: Annotated[
        Path | None, typer.Option(help="Folder or metrics.json that medmamba evaluate --out wrote.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, named as for medmamba predict.")] = None,
    pred: Annotated[Path | None, typer.Option(help="Folder of segmentations.")] = None,
    ref: Annotated[Path | None, typer.Option(help="Folder of reference labels of the same names.")] = None,
    model: Annotated[Path | None, typer.Option(help="Bundle, or results folder, that predicted.")] = None,
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Default: the name of the model's dataset.")] = None,
    viewer_cases: Annotated[
        int, typer.Option(min=0, help="So many of the worst cases can be leafed through in the page.")
    ] = 6,
) -> None:
    """Scores, distributions, pictures of the worst cases, a viewer, all cases, and the model, in one file.

    The file needs no network and no other file, and holds no header of an image. It shows the cases' names as the files
    have them, and parts of their images: keep it as you keep these.
    """
    from medmamba.report import write_report

    if output.is_dir():
        raise ConfigError(f"{output} is a folder.", f"Name a file in it: --output {output / 'report.html'}.")
    path = write_report(
        output,
        metrics=metrics,
        images=images,
        predictions=pred,
        references=ref,
        model=model,
        title=title,
        viewer_cases=viewer_cases,
    )
    typer.echo(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB)")
