"""medmamba datasets new: a dataset card from a look at a folder."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from . import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba datasets new --from my_images --name Mine", "medmamba datasets new --from scans --images-only"
        )
    )(new)


def new(
    source: Annotated[Path, typer.Option("--from", help="Folder with images and, mostly, labels.")],
    name: Annotated[str | None, typer.Option(help="Name of the dataset; default: the folder's.")] = None,
    out: Annotated[Path | None, typer.Option(help="The card's file; default: ./NAME.toml.")] = None,
    number: Annotated[
        int | None, typer.Option("--id", min=1, max=999, help="nnU-Net number; default: a free one.")
    ] = None,
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Volumes without labels, to train registration on.")
    ] = False,
    data_root: options.DataRoot = None,
) -> None:
    """Write a dataset card by looking at a folder. All that was guessed is marked as unverified: read it before use."""
    from medmamba.data.folders import folders
    from medmamba.data.newcard.write import write_card

    path = write_card(source, folders(data_root), name=name, out=out, number=number, images_only=images_only)
    typer.echo(f"Card: {path}")
    typer.echo("It is a guess: correct names of channels and labels, the licence and the home in it.")
    card, folder = (shlex.quote(str(one)) for one in (path, source))
    typer.echo(f"Next: medmamba datasets prepare {card} --from {folder}{options.root_again(data_root)}")
