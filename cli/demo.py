"""medmamba demo: the whole way on volumes made in code, or on your own dataset."""

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from . import options
from .progress import training_bar
from .screen import console, number, print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba demo", "medmamba demo --data nnUNet_raw/Dataset004_Hippocampus --out hippocampus_demo"
        )
    )(demo)


def demo(
    data: Annotated[Path | None, typer.Option(help="An nnU-Net raw dataset folder instead of phantoms.")] = None,
    out: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("medmamba_demo"),
    net: options.Net = "umamba-bot",
    epochs: Annotated[int, typer.Option(min=1, help="More train longer and score better.")] = 4,
    device: options.Device = "auto",
) -> None:
    """Plan, preprocess, train, predict, evaluate and draw: under five minutes on two cores."""
    from medmamba.demo import STEPS, DemoOptions, run
    from medmamba.nnunet.watching.history import HistoryFile
    from medmamba.nnunet.watching.pictures import Pictures

    screen, started = console(), time.monotonic()

    def announce(step: str) -> None:
        clock = time.monotonic() - started
        screen.print(f"[bold]{STEPS.index(step) + 1}/{len(STEPS)} {step}[/bold] [dim]({clock:.0f} s)[/dim]")

    with training_bar() as bar:
        watchers = [bar, HistoryFile(bar.message), Pictures(epochs, bar.message)]
        result = run(DemoOptions(out, data, net, epochs=epochs, device=device), announce, watchers)
    dice = {name: measures["dice"] for name, measures in result.report.summaries.items()}
    rows = [(name, number(one.mean if one else None), str(one.n if one else 0)) for name, one in dice.items()]
    rows.append(("mean", number(result.report.mean_dice), ""))
    print_table(f"Dice on {len(result.report.scores)} cases that training never saw", ("label", "Dice", "cases"), rows)
    screen.print(f"Picture: {result.picture}\nScores:  {result.report_file}\nModel:   {result.model}")
    screen.print("Training: progress.png, pictures and history.jsonl beside the model")
    screen.print(f"Done in {time.monotonic() - started:.0f} s. Next, try:")
    root, images = shlex.quote(str(out)), shlex.quote(str(out / "nnUNet_raw" / result.dataset / "imagesTr"))
    dataset = int(result.dataset[7:10])
    for line in (
        f"medmamba predict --data-root {root} --model {dataset}:{net}:small --input {images} --output my_predictions",
        f"medmamba train --data-root {root} --dataset {dataset} --net segmamba --preset small --epochs 5",
        "medmamba nets",
    ):
        screen.print(f"  {line}")
