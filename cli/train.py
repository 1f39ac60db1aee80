"""medmamba train: train one fold of a network, or several."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import options
from .screen import print_json

if TYPE_CHECKING:
    from medmamba.nnunet.training import TrainOptions

_SURVIVING, _SEEING = "Memory, machines and survival", "Seeing it"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba train --dataset Hippocampus --net umamba-bot --preset small --epochs 30",
            "medmamba train --dataset BraTS2023 --net segmamba --folds 0-4 --gpus 2 --resume",
            "medmamba train --dataset BraTS2023 --net segmamba --dry-run",
            "torchrun --nnodes 2 --nproc-per-node 4 ... -m medmamba.cli train --dataset BraTS2023 --net segmamba",
        )
    )(train)


def train(
    dataset: options.Dataset,
    net: options.Net,
    preset: options.Preset = "default",
    fold: Annotated[str, typer.Option("--fold", "--folds", help="0 to 4, 0-4, 0,2,4, or all: every case.")] = "0",
    config: options.Config = "3d_fullres",
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the preset's.")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Training steps an epoch.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Of all GPUs together. Default: the plan's.")] = None,
    patch_size: Annotated[str | None, typer.Option(help="Voxels, as 40,56,40. Default: the plan's.")] = None,
    device: options.Device = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="auto takes the faster one.")
    ] = "auto",
    seed: Annotated[int | None, typer.Option(min=0, help="Every random draw follows from it.")] = None,
    validation: Annotated[bool, typer.Option(help="Predict and score the fold's validation cases in the end.")] = True,
    data_root: options.DataRoot = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest good checkpoint.", rich_help_panel=_SURVIVING)
    ] = False,
    save_minutes: Annotated[
        float, typer.Option(min=0, help="Between two checkpoints; SIGTERM writes one too.", rich_help_panel=_SURVIVING)
    ] = 10,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Parts in which a batch goes through.", rich_help_panel=_SURVIVING)
    ] = 1,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Activation checkpointing.", rich_help_panel=_SURVIVING)
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits each time; slower.", rich_help_panel=_SURVIVING)
    ] = False,
    gpus: Annotated[int, typer.Option(min=1, help="Processes, one a GPU.", rich_help_panel=_SURVIVING)] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, do nothing.", rich_help_panel=_SEEING)
    ] = False,
    pictures: Annotated[
        int, typer.Option(min=0, help="A validation patch drawn every K epochs; 0: none.", rich_help_panel=_SEEING)
    ] = 10,
    log: Annotated[
        Literal["none", "tensorboard", "wandb"], typer.Option(help="Another logger.", rich_help_panel=_SEEING)
    ] = "none",
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run.", rich_help_panel=_SEEING)] = False,
) -> None:
    """Train a network on a preprocessed dataset; `medmamba preprocess` comes first."""
    from medmamba.data.find import dataset_id
    from medmamba.data.folders import folders

    places = folders(data_root)
    number = dataset_id(dataset, places)
    places.export()
    from medmamba.nnunet.folds.parse import parse_folds
    from medmamba.nnunet.loop.ranks import joined
    from medmamba.nnunet.training import TrainOptions, device_of

    folds = parse_folds(fold)
    common: dict[str, Any] = {
        "network": net,
        "preset": preset,
        "configuration": config,
        "epochs": epochs,
        "iterations": iterations,
        "batch_size": batch_size,
        "patch_size": options.sizes(patch_size),
        "device": device,
        "precision": precision,
        "seed": seed,
        "deterministic": deterministic,
        "accumulate": accumulate,
        "recompute": recompute,
        "save_minutes": save_minutes,
        "resume": resume,
        "validation": validation,
    }
    runs = [TrainOptions(fold=one, **common) for one in folds]
    if dry_run:
        _rehearse(number, runs, gpus, as_json)
        return
    if _launched(gpus, device):
        return
    with joined(device_of(device)):
        trained = [_train(number, run, pictures, log) for run in runs]
    if _first():
        scored = folds if validation else ()
        _next_steps(dataset, net, preset, config, fold, options.root_again(data_root), trained, scored)


def _train(number: int, wanted: "TrainOptions", pictures: int, log: str) -> Any:
    """Train one fold and return its folder."""
    from medmamba.nnunet.training import train as run
    from medmamba.nnunet.watching.boards import boards
    from medmamba.nnunet.watching.history import HistoryFile
    from medmamba.nnunet.watching.pictures import Pictures

    from .progress import training_bar

    started = time.monotonic()
    with training_bar() as bar:
        patches = not _registers(wanted.network)  # of pairs there are pictures when they are registered
        seen = [Pictures(pictures, bar.message)] if pictures and patches else []
        folder = run(number, wanted, [bar, HistoryFile(bar.message), *seen, *boards(log, bar.message)])
    if _first():
        typer.echo(f"Trained: {folder} ({time.monotonic() - started:.0f} s)")
    return folder


def _first() -> bool:
    from medmamba.nnunet.loop import ranks

    return ranks.first()


def _launched(gpus: int, device: str) -> bool:
    """Start this command once for each GPU, unless that has been done, and wait for its end."""
    if gpus == 1:
        return False
    from medmamba import runtime
    from medmamba.nnunet.loop import launch

    if not launch.several(gpus):
        return False
    launch.launch(launch.own_arguments(), gpus, runtime.device(device))
    return True


def _rehearse(number: int, runs: "list[TrainOptions]", gpus: int, as_json: bool) -> None:
    """Say what the runs would do."""
    from medmamba.nnunet.watching.rehearsal import rehearse

    from .rehearsal import show_rehearsal

    found = [rehearse(number, run, gpus if gpus > 1 else None) for run in runs]
    if as_json:
        print_json([one.as_json() for one in found])
        return
    for one in found:
        show_rehearsal(one)


def _next_steps(
    dataset: str, net: str, preset: str, config: str, fold: str, root: str, trained: list[Any], folds: Any
) -> None:
    """The cross-validation table after several scored folds, and the command that comes next."""
    numbered = [one for one in folds if one != "all"]
    if len(numbered) > 1:
        from .validate import show_crossval

        show_crossval(trained[0].parent, numbered)
        typer.echo(f"Next:    medmamba best --dataset {dataset}{root}")
    else:
        model = f"{dataset}:{net}:{preset}:{config}"
        use = f"predict --model {model} --fold {fold}{root} --input IMAGES --output PREDICTIONS"
        if _registers(net):
            use = f"register --model {trained[0].parent} --fixed FIXED --moving MOVING --out FOLDER"
        typer.echo(f"Next:    medmamba {use}")


def _registers(net: str) -> bool:
    from medmamba.networks import info

    return info(net).task == "registration"
