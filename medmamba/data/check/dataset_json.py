"""What dataset.json says, and where it breaks nnU-Net's rules."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .findings import Finding
from .image import ENDINGS

_REQUIRED = ("channel_names", "labels", "numTraining", "file_ending")


@dataclass
class Description:
    """dataset.json as far as it can be used; what it lacks is guessed from the files or None."""

    ending: str
    channels: tuple[str, ...] | None = None
    """Channel names in order."""
    labels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Label or region name -> its values."""
    allowed: frozenset[int] | None = None
    """Values that label files may hold."""
    training: int | None = None
    reader: str = ""
    """nnU-Net's reader where dataset.json names one."""
    table: dict[str, Any] | None = None
    """Case -> {"images": [...], "label": ...}, files anywhere on the disk."""


def read_description(folder: Path) -> tuple[Description, list[Finding]]:
    """Read and judge a dataset's dataset.json. Never raises."""
    path = folder / "dataset.json"
    found: list[Finding] = []

    def tell(kind: str, text: str) -> None:
        found.append(Finding(kind, "", path, text))

    description = Description(_commonest_ending(folder))
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except FileNotFoundError:
        tell("json-missing", f"{folder} has none.")
        return description, found
    except (OSError, ValueError) as error:
        tell("json-invalid", f"{error}.")
        return description, found
    if not isinstance(content, dict):
        tell("json-invalid", f"Holds a {type(content).__name__}, not an object.")
        return description, found
    _read_channels(content, description, tell)
    _read_labels(content, description, tell)
    _read_rest(content, description, folder, tell)
    return description, found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys occur once; Python would keep the last of two labels of one name and say nothing."""
    if twice := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise ValueError(f"The key {twice[0]!r} occurs twice in one object")
    return dict(pairs)


def _commonest_ending(folder: Path) -> str:
    names = [path.name for path in folder.glob("imagesTr/*")]
    endings = Counter(next((end for end in ENDINGS if name.endswith(end)), "") for name in names)
    del endings[""]
    return endings.most_common(1)[0][0] if endings else ".nii.gz"


def _read_channels(content: dict[str, Any], description: Description, tell: Any) -> None:
    if "channel_names" not in content:
        old = " It has the old key modality: rename that." if "modality" in content else ""
        tell("json-key", f"channel_names is missing.{old}")
        return
    names = content["channel_names"]
    if not isinstance(names, dict) or not names:
        tell("json-channels", f"channel_names is {names!r}.")
    elif sorted(names) != sorted(str(number) for number in range(len(names))):
        tell("json-channels", f"The channels are named {', '.join(map(repr, names))}.")
    else:
        description.channels = tuple(str(names[str(number)]) for number in range(len(names)))


def _read_labels(content: dict[str, Any], description: Description, tell: Any) -> None:
    labels = content.get("labels")
    if labels is None:
        tell("json-key", "labels is missing.")
        return
    if not isinstance(labels, dict) or not all(_is_value(value) for value in labels.values()):
        backwards = isinstance(labels, dict) and all(str(name).isdigit() for name in labels)
        hint = " It is value -> name, as in the first nnU-Net: turn it round." if backwards else ""
        tell("json-labels", f"labels is {str(labels)[:120]}.{hint}")
        return
    named = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in labels.items()}
    values = sorted({value for name, members in named.items() if name != "ignore" for value in members})
    last = labels.get("ignore")
    problem = ""
    if labels.get("background") != 0:
        problem = f"background is {labels.get('background', 'not declared')}."
    elif values != list(range(len(values))):
        problem = f"The values are {', '.join(map(str, values))}."
    elif last is not None and last != len(values):
        problem = f"ignore is {last}; it must be the highest value, {len(values)} here."
    elif twice := [value for value, count in Counter(map(str, labels.values())).items() if count > 1]:
        problem = f"Two names have the value {twice[0]}."
    description.allowed = frozenset(value for members in named.values() for value in members)
    if problem:
        tell("json-labels", problem)
        return
    description.labels = {name: members for name, members in named.items() if name not in ("background", "ignore")}
    _read_regions(content, description, tell)


def _is_value(value: Any) -> bool:
    values = value if isinstance(value, list) and value else [value]
    return all(isinstance(one, int) and not isinstance(one, bool) for one in values)


def _read_regions(content: dict[str, Any], description: Description, tell: Any) -> None:
    regions = [members for members in description.labels.values() if set(members) != {0}]
    order = content.get("regions_class_order")
    if not any(len(members) > 1 for members in regions):
        return
    if not isinstance(order, list) or len(order) != len(regions):
        got = "is missing" if order is None else f"is {order}"
        tell("json-regions", f"{len(regions)} regions, and regions_class_order {got}.")
        return
    painted: dict[int, int] = {}
    for members, value in zip(regions, order, strict=True):
        painted.update(dict.fromkeys(members, value))
    # a painted value has to lie in the same regions as the label that it stands for
    sets = [set(members) for members in regions]
    if wrong := [value for value, back in painted.items() if any((value in one) != (back in one) for one in sets)]:
        tell(
            "json-regions",
            f"Painted in regions_class_order {order}, a voxel of label {wrong[0]} becomes {painted[wrong[0]]}.",
        )


def _read_rest(content: dict[str, Any], description: Description, folder: Path, tell: Any) -> None:
    for key, kind in (("numTraining", int), ("file_ending", str)):
        if key not in content:
            tell("json-key", f"{key} is missing.")
        elif not isinstance(content[key], kind):
            tell("json-count" if kind is int else "json-ending", f"{key} is {content[key]!r}.")
    description.training = content["numTraining"] if isinstance(content.get("numTraining"), int) else None
    ending = content.get("file_ending")
    if isinstance(ending, str):
        if ending.lower() not in ENDINGS:
            tell("json-ending", f"nnU-Net reads no {ending!r}, only {', '.join(ENDINGS)}.")
        elif (
            "dataset" not in content
            and not any(folder.glob(f"imagesTr/*{ending}"))
            and any(folder.glob("imagesTr/*_[0-9]*.*"))
        ):
            tell("json-ending", f"It says {ending}, and imagesTr has none; the files end in {description.ending}.")
        else:
            description.ending = ending
    description.reader = str(content.get("overwrite_image_reader_writer", ""))
    if "dataset" in content:
        if isinstance(content["dataset"], dict):
            description.table = content["dataset"]
        else:
            tell("json-table", f"dataset is {type(content['dataset']).__name__}, not an object of cases.")
