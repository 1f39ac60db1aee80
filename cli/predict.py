"""medmamba predict: segment images with a trained network."""

import time
from pathlib import Path
from typing import Annotated

import typer

from . import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba predict --dataset Hippocampus --net umamba-bot --input imagesTs --output predictions",
            "medmamba predict --model FOLDER --input CASE_0000.nii.gz --output predictions --no-mirror",
        )
    )(predict)


def predict(
    input: Annotated[Path, typer.Option(help="Folder of images CASE_0000.nii.gz, or one such file.")],
    output: Annotated[Path, typer.Option(help="Folder for the segmentations.")],
    dataset: Annotated[str | None, typer.Option(help="Dataset that the network was trained on.")] = None,
    net: Annotated[str | None, typer.Option(help="Network that was trained.")] = None,
    preset: options.Preset = "default",
    config: options.Config = "3d_fullres",
    model: Annotated[Path | None, typer.Option(help="Model folder, instead of --dataset and --net.")] = None,
    folds: Annotated[
        str | None, typer.Option("--folds", "--fold", help="Average these: 0-4, 0,2,4, all. Default: all trained.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="Which file of each fold.")] = "checkpoint_final.pth",
    step_size: Annotated[float, typer.Option(min=0.05, max=1, help="Step between patches, in patches.")] = 0.5,
    mirror: Annotated[bool, typer.Option(help="Average over mirrored images: up to 8 times the work.")] = True,
    engine: Annotated[bool, typer.Option(help="On a CPU: the network in its fast form.")] = True,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, or fp16 on GPUs.")] = "auto",
    overwrite: Annotated[bool, typer.Option(help="Write segmentations again that are there already.")] = True,
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also keep what ensembles are made from (.npz).")
    ] = False,
    device: options.Device = "auto",
    data_root: options.DataRoot = None,
) -> None:
    """Segment images with a network that was trained here or by stock nnU-Net commands."""
    from medmamba.data.folders import folders

    places = folders(data_root)
    places.export()
    from medmamba.engine import reuse_memory
    from medmamba.nnunet.folds.parse import parse_folds
    from medmamba.nnunet.prediction import predict as run

    model = options.model_folder(model, dataset, net, preset, config, places)
    if engine:
        reuse_memory()
    started = time.monotonic()
    written = run(
        model,
        input,
        output,
        folds=None if folds is None else parse_folds(folds),
        checkpoint=checkpoint,
        step_size=step_size,
        mirror=mirror,
        device=device,
        engine=engine,
        precision=precision,
        overwrite=overwrite,
        save_probabilities=save_probabilities,
        say=lambda format: typer.echo(f"Precision: {format}"),
        on_case=lambda case, done, total: typer.echo(f"{done}/{total} {case}"),
    )
    typer.echo(f"Segmentations: {len(written)} in {output} ({time.monotonic() - started:.0f} s)")
    typer.echo(f"Next:          medmamba evaluate --pred {output} --ref LABELS --dataset {dataset or 'NAME'}")
