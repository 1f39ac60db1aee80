"""medmamba preprocess: fingerprint, plans and preprocessed arrays of a dataset."""

from typing import Annotated

import typer

from . import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba preprocess --dataset Hippocampus",
            "medmamba preprocess --dataset 4 --net segmamba --preset small",
        )
    )(preprocess)


def preprocess(
    dataset: options.Dataset,
    net: Annotated[str | None, typer.Option(help="Also write plans that carry this network.")] = None,
    preset: options.Preset = "default",
    config: Annotated[list[str] | None, typer.Option(help="Only this configuration; may be repeated.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes; default: one a core.")] = None,
    verify: Annotated[bool, typer.Option(help="Check the dataset's files and geometry first.")] = True,
    data_root: options.DataRoot = None,
) -> None:
    """Plan and preprocess a dataset in nnU-Net's raw layout. What is up to date is skipped."""
    from medmamba.data.find import dataset_folder
    from medmamba.data.folders import folders

    places = folders(data_root)
    number = int(dataset_folder(dataset, places).name[7:10])
    places.export()
    from medmamba.nnunet.preparation import preprocess as run

    plans = run(number, network=net, preset=preset, configurations=config or None, processes=processes, verify=verify)
    typer.echo(f"Plans: {plans}")
    root = options.root_again(data_root)
    typer.echo(f"Next:  medmamba train --dataset {dataset} --net {net or 'umamba-bot'} --preset {preset}{root}")
