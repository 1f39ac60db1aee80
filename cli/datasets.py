"""medmamba datasets: what is known about public datasets, and how data become one."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from . import check as check_command
from . import newcard, options, prepare
from .screen import print_json, print_table

_app = typer.Typer(no_args_is_help=True, help="Dataset cards: list, show, write; make and check datasets.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (prepare, check_command, newcard):
        command.register(_app)
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
    columns = ("id", "name", "cases", "what")
    for task in dict.fromkeys(card.task for card in cards().values()):
        chosen = [card for card in cards().values() if card.task == task]
        rows = [(f"{card.id:03d}", card.name, str(card.cases.training), card.title) for card in chosen]
        print_table(f"Known datasets: {task}", columns, rows, right=("cases",))
    if bare := [card.name for card in cards().values() if not card.layout]:
        typer.echo(f"`prepare` takes all of them but {', '.join(bare)}: how their download looks is not known.")
    typer.echo(f"On disk in {places.raw} and {places.preprocessed}: {', '.join(here.values()) or 'none'}")


@_app.command(epilog=options.examples("medmamba datasets show BraTS2023", "medmamba datasets show ./mine.toml"))
def show(
    name: Annotated[str, typer.Argument(help="Name of a dataset card, or a card's file.")],
    as_json: options.AsJson = False,
) -> None:
    """Show a dataset card: terms, files, channels, labels, traps, and how sure each fact is."""
    from rich.markup import escape

    from medmamba.data.cards import card

    found = card(name)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    rows = []
    for field, value in found.facts().items():
        first, *rest = (escape(line) for line in value)
        rows += [(field, first, found.sure.get(field, "")), *(("", line, "") for line in rest)]
    print_table(escape(f"{found.name}: {found.title}"), ("fact", "", "how sure"), rows)
    if found.layout:
        typer.echo(f"Next: medmamba datasets prepare {shlex.quote(name)} --from FOLDER")


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
