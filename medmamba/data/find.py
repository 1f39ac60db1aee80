"""From what a person types after --dataset to an nnU-Net dataset number and folder."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import read_json
from .cards import Card, cards
from .folders import Folders

_FOLDER = re.compile(r"Dataset(\d{3})_(.+)")


def on_disk(folders: Folders) -> dict[int, str]:
    """Number -> folder name of every dataset in the raw and the preprocessed folder."""
    found: dict[int, str] = {}
    for parent in (folders.raw, folders.preprocessed):
        for path in sorted(parent.glob("Dataset[0-9][0-9][0-9]_*")):
            if path.is_dir() and (match := _FOLDER.fullmatch(path.name)):
                found.setdefault(int(match[1]), path.name)
    return found


def dataset_id(name_or_id: str | int, folders: Folders) -> int:
    """The number of a dataset given as `Hippocampus`, `4`, `004` or `Dataset004_Hippocampus`; case does not matter.

    The folders on disk are asked first, then the cards that ship with medmamba. DataError when neither knows the
    dataset: it proposes names that are written alike, else lists what is there.
    """
    text = str(name_or_id).strip()
    here = on_disk(folders)
    if text.isdigit():
        wanted = int(text)
        if wanted in here or any(card.id == wanted for card in cards().values()):
            return wanted
    for number, folder_name in here.items():
        if text.lower() in (folder_name.lower(), folder_name.split("_", 1)[1].lower()):
            return number
    for card in cards().values():
        if card.answers_to(text) or text.lower() == card.folder_name.lower():
            return card.id
    if alike := near(text, [*(name.split("_", 1)[1] for name in here.values()), *cards()]):
        raise DataError(f"There is no dataset {text!r}.", f"Did you mean {' or '.join(alike)}?")
    raise DataError(
        f"There is no dataset {text!r}.",
        f"In {folders.raw} and {folders.preprocessed}: {', '.join(here.values()) or 'none'}. "
        f"Cards: {', '.join(cards())}. Set --data-root or nnUNet_raw if the data lies elsewhere.",
    )


def near(text: str, names: Iterable[str]) -> list[str]:
    """Up to three of `names` that somebody may have meant who wrote `text`, the nearest first; case does not matter."""
    known = {name.lower(): name for name in names}
    return [known[name] for name in get_close_matches(text.lower(), known, cutoff=0.7)]


def dataset_folder(name_or_id: str | int, folders: Folders) -> Path:
    """The raw folder of a dataset, which must exist and hold a dataset.json. DataError says where it was looked for."""
    number = dataset_id(name_or_id, folders)
    matches = sorted(folders.raw.glob(f"Dataset{number:03d}_*"))
    if not matches:
        raise DataError(
            f"Dataset {name_or_id} has no folder Dataset{number:03d}_... in {folders.raw}.",
            "Put it there in nnU-Net's raw layout, or set nnUNet_raw or --data-root to where it lies.",
        )
    if len(matches) > 1:
        names = ", ".join(path.name for path in matches)
        raise DataError(f"Several folders in {folders.raw} have the number {number:03d}: {names}.", "Keep one of them.")
    if not (matches[0] / "dataset.json").is_file():
        raise DataError(f"{matches[0]} has no dataset.json.", "See nnU-Net's description of its raw dataset format.")
    return matches[0]


def dataset_json(name_or_id: str | int, folders: Folders) -> dict[str, Any]:
    """What a dataset's dataset.json says: of its raw or preprocessed folder, else as its card would write it.

    DataError when neither folder nor card knows the dataset.
    """
    number = dataset_id(name_or_id, folders)
    for parent in (folders.raw, folders.preprocessed):
        for path in sorted(parent.glob(f"Dataset{number:03d}_*/dataset.json")):
            return read_json(path)
    known = next(card for card in cards().values() if card.id == number)
    return {"labels": {"background": 0, **known.targets}, "file_ending": known.file_ending}


def dataset_card(name_or_id: str | int, folders: Folders) -> Card | None:
    """The card of a dataset; None where none has its number and name. DataError for an unknown dataset."""
    number = dataset_id(name_or_id, folders)
    here = on_disk(folders).get(number)
    return next((card for card in cards().values() if card.id == number and here in (None, card.folder_name)), None)
