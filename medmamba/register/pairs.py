"""Lists of pairs: which image is fixed and which one moves."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError

ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd", ".npz", ".h5")
"""File endings that are no part of a case's name."""
_LISTS = ("pairs", "registration_val", "registration_test", "pairs_val", "pairs_test", "pairs_train")
"""Keys under which a JSON object may hold its pairs: ours, Learn2Reg's, our dataset.json's `registration` table's."""


@dataclass(frozen=True)
class Pair:
    """One line of a list. `fixed` and `moving` are what it says: case names or paths."""

    name: str
    """Of the line itself, else of the two cases: fixed_to_moving."""
    fixed: str
    moving: str
    more: Mapping[str, str] = field(default_factory=dict)
    """The other columns that are not empty."""


def case_name(text: str) -> str:
    """imagesTr/case_0001.nii.gz -> case_0001."""
    name = Path(text).name
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def pair_name(fixed: str, moving: str) -> str:
    """The name of a pair that has none of its own."""
    return f"{case_name(fixed)}_to_{case_name(moving)}"


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """The pairs of a .csv (columns fixed, moving) or .json (a list, or an object with one under `pairs`).

    Of a dataset.json Learn2Reg's `registration_val` and our own `registration` table are read. ConfigError, naming
    file and line, where there is no pair, a column is missing or two pairs have one name.
    """
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    pairs = tuple(_pair(row, number, path) for number, row in enumerate(rows, 1))
    if not pairs:
        raise ConfigError(f"{path} lists no pair.", "It needs at least one with `fixed` and `moving`.")
    names = [pair.name for pair in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path} has more than one pair {twice[0]!r}.", "Remove one, or give them a column `name`.")
    return pairs


def pairs_of(content: Any) -> Iterable[Any]:
    """The list of pairs inside a JSON document; empty where it has none. Validation before test before training."""
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        return []
    nested = content.get("registration")
    for table in (nested if isinstance(nested, dict) else {}, content):
        for key in _LISTS:
            if isinstance(table.get(key), list) and table[key]:
                found: list[Any] = table[key]
                return found
    return []


def _csv_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", "Check the path of the list of pairs."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read as a table: {error}.", "It needs columns fixed,moving.") from error


def _json_rows(path: Path) -> list[Any]:
    import json

    try:
        return list(pairs_of(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}.", "Give a .csv or .json list of pairs.") from error


def _pair(row: Any, number: int, path: Path) -> Pair:
    where = f"Pair {number} of {path}"
    if isinstance(row, list | tuple) and len(row) == 2:
        row = {"fixed": row[0], "moving": row[1]}
    if not isinstance(row, dict):
        raise ConfigError(f"{where} is no object.", 'Each is {"fixed": ..., "moving": ...}.')
    texts = {str(key).strip(): str(value).strip() for key, value in row.items() if value not in (None, "")}
    for side in ("fixed", "moving"):
        if not texts.get(side):
            raise ConfigError(f"{where} has no `{side}`.", "Each pair names a fixed and a moving image.")
    fixed, moving = texts.pop("fixed"), texts.pop("moving")
    return Pair(texts.pop("name", "") or pair_name(fixed, moving), fixed, moving, texts)
