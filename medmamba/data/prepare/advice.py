"""What to tell people whose folder holds no training case of a card."""

import json
from pathlib import Path

from ..cards import Card
from .files import expression


def raw_already(source: Path) -> str:
    """What to do with a folder in nnU-Net's raw layout; empty for any other."""
    try:
        raw = "channel_names" in json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return ""
    return "It is in nnU-Net's raw layout already: put it into nnUNet_raw and leave `prepare` out." if raw else ""


def right_folder(card: Card, source: Path, files: list[str]) -> str:
    """Where training cases lie when an archive was unpacked a folder too deep, else what they should look like.

    `files`: all below the source, relative, with "/".
    """
    trained = [layout for layout in card.layout if layout.split == "training"]
    for layout in trained:
        image = expression(layout.images[0], tuple(layout.where.items()))
        for file in files:
            parts = file.split("/")
            for depth in range(1, len(parts)):
                if image.fullmatch("/".join(parts[depth:])):
                    return f"{source.joinpath(*parts[:depth])} looks like the right folder: give it with --from."
    wanted = f"{trained[0].root[0]}/{trained[0].images[0]}".removeprefix("./")
    return f"Expected files like {wanted} in it."
