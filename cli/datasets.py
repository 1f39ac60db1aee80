"""medmamba datasets: what is known about public datasets, and clips made into one."""

from pathlib import Path
from typing import Annotated

import typer

from . import check as check_command
from . import options
from .screen import console, print_json, print_table

_app = typer.Typer(no_args_is_help=True, help="List and show dataset cards; turn video clips into a dataset.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    check_command.register(_app)
    app.add_typer(_app, name="datasets")


@_app.command("list", epilog=options.examples("medmamba datasets list"))
def list_(as_json: options.AsJson = False, data_root: options.DataRoot = None) -> None:
    """List the datasets that medmamba knows, and those that are on disk."""
    from medmamba.data.cards import cards
    from medmamba.data.find import on_disk
    from medmamba.data.folders import folders

    places = folders(data_root)
    here = on_disk(places)
    if as_json:
        print_json({"cards": [card.model_dump(mode="json") for card in cards().values()], "on_disk": here})
        return
    rows = [
        (
            card.name,
            f"{card.id:03d}",
            str(card.cases.training),
            str(len(card.channels)),
            str(len(card.targets)),
            card.title,
        )
        for card in cards().values()
    ]
    columns = ("name", "id", "cases", "channels", "targets", "what")
    print_table("Known datasets", columns, rows, right=columns[1:5])
    typer.echo(f"On disk in {places.raw} and {places.preprocessed}: {', '.join(here.values()) or 'none'}")


@_app.command(epilog=options.examples("medmamba datasets show BraTS2023"))
def show(name: str, as_json: options.AsJson = False) -> None:
    """Show a dataset card: terms, channels, labels, traps, and how sure each fact is."""
    from rich.markup import escape

    from medmamba.data.cards import card

    found = card(name)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    screen = console()
    screen.print(f"[bold]{escape(found.name)}[/bold]  {escape(found.title)}")
    for field, value in found.facts().items():
        mark = found.sure.get(field, "")
        lines = [escape(line) for line in value]
        screen.print(f"[bold]{field:20}[/bold] {lines[0]}  [dim]{mark}[/dim]")
        for line in lines[1:]:
            screen.print(f"{'':20} {line}")


@_app.command(epilog=options.examples("medmamba datasets clips --from my_clips --id 501 --name SliceClips"))
def clips(
    source: Annotated[Path, typer.Option("--from", help="Folder with CLIP/frames/*.png and CLIP/masks/*.png.")],
    number: Annotated[int, typer.Option("--id", min=1, max=999, help="nnU-Net number for the new dataset.")],
    name: Annotated[str, typer.Option(help="Its name.")],
    frame_rate: Annotated[float | None, typer.Option(help="Frames per second, only noted.")] = None,
    data_root: options.DataRoot = None,
) -> None:
    """Turn video clips into an nnU-Net dataset, time on the first array axis."""
    from medmamba.data.clips import write_clip_dataset
    from medmamba.data.folders import folders

    written = write_clip_dataset(source, folders(data_root).raw, number, name, frame_rate)
    typer.echo(f"Dataset: {written}")
    typer.echo(f"Next:    medmamba preprocess --dataset {name} --net vivim{options.root_again(data_root)}")
