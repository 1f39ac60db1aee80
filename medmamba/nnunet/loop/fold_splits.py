"""Which cases a fold trains on and which it is validated on."""

import json
from pathlib import Path

from nnunetv2.utilities.crossval_split import generate_crossval_split

from ...errors import DataError
from ...files import write_json

FILE = "splits_final.json"
FOLDS = 5
"""Into how many folds nnU-Net splits a dataset that brings no split."""
_SEED = 12345
"""nnU-Net's own: the split is the one that it would make."""

Splits = list[dict[str, list[str]]]
"""For each fold the names of the cases under "train" and "val"."""


def ensure_splits(place: Path, data: Path) -> Splits:
    """The splits of a preprocessed dataset, made and written as nnU-Net does when there are none.

    Parameters
    ----------
    place: the dataset's folder, where splits_final.json belongs.
    data: the folder with the preprocessed cases of a configuration.

    DataError when the file cannot be used or names cases that are not there, or when there are too few for five folds.
    """
    splits = proposed(place, data)
    if not (place / FILE).is_file():
        write_json(place / FILE, splits)
    return splits


def proposed(place: Path, data: Path) -> Splits:
    """The splits that `ensure_splits` would give; writes nothing."""
    file = place / FILE
    cases = sorted(path.stem for path in data.glob("*.pkl"))
    if file.is_file():
        splits = read_splits(file)
        named = {case for split in splits for part in split.values() for case in part}
        if gone := sorted(named - set(cases)):
            raise DataError(
                f"{file} names {len(gone)} case(s) that are not in {data}: {', '.join(gone[:5])}.",
                "Preprocess the dataset again, or take them out of the file; without the file nnU-Net's own is made.",
            )
        return splits
    if len(cases) < FOLDS:
        raise DataError(
            f"{place.name} has {len(cases)} training cases, too few for {FOLDS} folds.",
            f"Train with --fold all, or write a split of your own to {file}.",
        )
    made: Splits = generate_crossval_split(cases, seed=_SEED, n_splits=FOLDS)
    return [{part: [str(case) for case in split[part]] for part in ("train", "val")} for split in made]


def read_splits(file: Path) -> Splits:
    """The splits in a file. DataError names the file when it is not a list of train and val."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        splits = [{part: [str(case) for case in split[part]] for part in ("train", "val")} for split in content]
        if not splits or not all(split["train"] for split in splits):
            raise ValueError("a fold has no case to train on")
        return splits
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{file} is not a list of splits with train and val ({error}).", "Mend it, or remove it for nnU-Net's own."
        ) from error
