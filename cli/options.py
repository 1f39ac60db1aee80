"""Options that several commands share, each described once."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medmamba.errors import ConfigError

if TYPE_CHECKING:
    from medmamba.data.folders import Folders

Dataset = Annotated[str, typer.Option(help="Name (Hippocampus) or nnU-Net number (4) of a dataset.")]
Net = Annotated[str, typer.Option(help="Network; `medmamba nets` lists them.")]
Preset = Annotated[
    str,
    typer.Option(
        help="default: published widths; small: narrow, for CPUs and small images; paper: sizes as published."
    ),
]
Config = Annotated[str, typer.Option(help="nnU-Net configuration: 2d, 3d_fullres, 3d_lowres.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
DataRoot = Annotated[
    Path | None, typer.Option(help="Folder for what nnUNet_raw, nnUNet_preprocessed and nnUNet_results do not set.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def examples(*lines: str) -> str:
    """An epilog that shows each line as a command."""
    return "\n\n".join(["Examples:", *(f"  [bold]{line}[/bold]" for line in lines)])


def root_again(data_root: Path | None) -> str:
    """--data-root as it was given, for the command that is suggested next."""
    return f" --data-root {shlex.quote(str(data_root))}" if data_root else ""


def model_folder(
    model: Path | None, dataset: str | None, net: str | None, preset: str, config: str, places: "Folders"
) -> Path:
    """The folder of a trained model: as given, else that of a dataset and network. ConfigError without either."""
    if model is not None:
        return model
    if dataset is None or net is None:
        raise ConfigError("Which model?", "Give --dataset and --net, or --model FOLDER.")
    from medmamba.predict.loading import trained_folder

    return trained_folder(f"{dataset}:{net}:{preset}:{config}", places)


def sizes(text: str | None) -> tuple[int, ...] | None:
    """A size as typed, "40,56,40" or "40x56x40", as numbers. ConfigError when it is no list of positive numbers."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if not all(part.strip().isdigit() and int(part) for part in parts) or len(parts) not in (2, 3):
        raise ConfigError(f"--patch-size {text!r} is no size.", "Use two or three numbers, as 40,56,40.")
    return tuple(int(part) for part in parts)
