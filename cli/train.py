"""medmamba train: train one fold of a network."""

import time
from typing import Annotated, Literal

import typer

from . import options
from .screen import training_bar


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba train --dataset Hippocampus --net umamba-bot --preset small --epochs 30",
            "medmamba train --dataset BraTS2023 --net segmamba --fold all --device cuda --resume",
        )
    )(train)


def train(
    dataset: options.Dataset,
    net: options.Net,
    preset: options.Preset = "default",
    fold: Annotated[str, typer.Option(help="0 to 4, or all to train on every case.")] = "0",
    config: options.Config = "3d_fullres",
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the preset's.")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Training steps an epoch.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Default: the plan's.")] = None,
    patch_size: Annotated[str | None, typer.Option(help="Voxels, as 40,56,40. Default: the plan's.")] = None,
    device: options.Device = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="auto takes the faster one.")
    ] = "auto",
    seed: Annotated[int | None, typer.Option(help="Fix every random draw.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    data_root: options.DataRoot = None,
) -> None:
    """Train a network on a preprocessed dataset; `medmamba preprocess` comes first."""
    from medmamba.data.find import dataset_id
    from medmamba.data.folders import folders

    places = folders(data_root)
    number = dataset_id(dataset, places)
    places.export()
    from medmamba.nnunet.training import TrainOptions
    from medmamba.nnunet.training import train as run

    wanted = TrainOptions(
        network=net,
        preset=preset,
        fold=options.fold(fold),
        configuration=config,
        epochs=epochs,
        iterations=iterations,
        batch_size=batch_size,
        patch_size=options.sizes(patch_size),
        device=device,
        precision=precision,
        seed=seed,
        resume=resume,
    )
    started = time.monotonic()
    with training_bar() as bar:
        folder = run(number, wanted, on_epoch=bar)
    typer.echo(f"Trained: {folder} ({time.monotonic() - started:.0f} s)")
    root = options.root_again(data_root)
    given = f"--dataset {dataset} --net {net} --preset {preset} --config {config} --fold {fold}{root}"
    typer.echo(f"Next:    medmamba predict {given} --input IMAGES --output PREDICTIONS")
