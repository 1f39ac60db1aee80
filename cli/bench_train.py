"""medmamba bench train: what our training loop costs beside stock nnU-Net's."""

from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.bench.training import TrainingReport

_COLUMNS = ("trainer", "steps", "s a step", "quartiles", "CPU s", "images/s", "waiting for data")

_WIDTH = 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba bench train --dataset Hippocampus",
            "medmamba bench train --dataset Hippocampus --device cuda --workers 8 --steps 50 --json",
        )
    )(train)


def train(
    dataset: options.Dataset = "Hippocampus",
    config: options.Config = "3d_fullres",
    device: options.Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare data, for each; 0: none.")] = 0,
    blocks: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 6,
    steps: Annotated[int, typer.Option(min=1, help="Training steps in a turn.")] = 8,
    data_root: options.DataRoot = None,
    as_json: options.AsJson = False,
) -> None:
    """Seconds a training step and share of waiting for data: medmamba's trainer beside stock nnU-Net's.

    Both train nnU-Net's own network by its own plans, in one process and in turn, with the same patch, batch, number
    format and number of processes that prepare data. Preprocess the dataset first.
    """
    from medmamba import runtime
    from medmamba.data.find import dataset_id
    from medmamba.data.folders import folders

    places = folders(data_root)
    number = dataset_id(dataset, places)
    places.export()
    from medmamba.bench.training import TrainingOptions, run

    wanted = TrainingOptions(number, config, workers, blocks, steps)
    report = run(wanted, runtime.device(device), lambda text: typer.secho(f"  {text}", err=True, dim=True))
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)


def _show(report: "TrainingReport") -> None:
    about = report.about
    threads = "" if about["gpu"] else f", {about['threads']} threads"
    typer.echo(f"{about['device']}{threads}, torch {about['versions']['torch']}, {about['date']}")
    typer.echo(
        f"nnU-Net {about['versions']['nnunetv2']}, {report.precision}; data workers for each: {report.workers}\n"
    )
    patch = "x".join(map(str, report.patch_size))
    title = f"{report.dataset}, {report.configuration}: {report.network}, patch {patch}, batch {report.batch_size}"
    cells = [
        (
            row.name,
            str(row.steps),
            f"{row.median:.4g}",
            f"{row.lower:.4g} to {row.upper:.4g}",
            f"{row.cpu:.4g}",
            f"{row.images_per_second:.3g}",
            f"{row.waited:.1%}",
        )
        for row in report.rows
    ]
    print_table(title, _COLUMNS, cells, _COLUMNS[1:], _WIDTH)
    low, high = report.overhead_range
    typer.echo(f"Our step takes {report.overhead:+.1%} (quartiles over turns {low:+.1%} to {high:+.1%}).")
    if not about["gpu"]:
        typer.echo(f"In the processor's seconds, which a busy machine changes least: {report.cpu_overhead:+.1%}.")
