"""The small files beside the images of a prepared dataset: what they hold, label codes, folds, pairs, clips."""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...files import replacing
from ..cards import Card
from ..labelmaps import FILE_NAME as LABEL_MAP
from ..labelmaps import description as label_map
from .match import Found

SPLITS = "splits.json"
"""Proposed folds, in the form of nnU-Net's splits_final.json."""
PAIRS = "pairs.csv"
_FOLDS = 5


def write_lists(folder: Path, card: Card, cases: Sequence[Found]) -> None:
    """Write what belongs beside the images, dataset.json last; a file that says the same already is left alone."""
    texts = {LABEL_MAP: _json(label_map(card))}
    texts[SPLITS] = _json(folds) if (folds := splits(cases, card)) else ""
    texts[PAIRS] = _pairs_table(cases, card) if card.pairs else ""
    clips = {case.name: [path.name for path in case.images[0]] for case in cases if case.layout.kind == "clip"}
    texts["clips.json"] = _json({"temporal_axis": 0, "frame_rate": None, "frames": clips}) if clips else ""
    content = dataset_json(card, sum(case.layout.trained_on for case in cases))
    texts["dataset.json"] = _json(content | ({"registration": registration(cases, card)} if card.pairs else {}))
    for name, text in texts.items():
        path = folder / name
        if not text:
            path.unlink(missing_ok=True)
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def _json(content: Any) -> str:
    return json.dumps(content, indent=2) + "\n"


def dataset_json(card: Card, training: int) -> dict[str, Any]:
    """What nnU-Net wants to know; regions in their order, which it reads from the order of the keys."""
    content: dict[str, Any] = {
        "channel_names": {str(place): name for place, name in enumerate(card.channels)},
        "labels": {"background": 0, **card.targets},
    }
    if card.regions:
        content["regions_class_order"] = list(card.regions_class_order)
    content |= {"numTraining": training, "file_ending": card.file_ending}
    if card.reader:
        content["overwrite_image_reader_writer"] = card.reader
    described = {
        "name": card.name,
        "description": card.title,
        "reference": "; ".join(text for text in (card.home, card.citation) if text),
        "licence": card.licence,
    }
    return content | described


def registration(cases: Sequence[Found], card: Card) -> dict[str, Any]:
    """The `registration` table of dataset.json: which training images are registered to which, by the card's rule."""
    rule = card.pairs
    assert rule is not None
    listed = {
        split: [
            {"fixed": fixed, "moving": moving}
            for fixed, moving, _ in _pairs(
                [c.name for c in cases if c.layout.split == split and c.layout.trained_on], card
            )
        ]
        for split in ("training", "validation")
    }
    kind = {"channels": "intra", "consecutive": "inter", "match": "list"}[rule.rule]
    table: dict[str, Any] = {"pairing": kind}
    table["fixed_channel"], table["moving_channel"] = _channels(card)
    if kind == "list":
        table["pairs_train"] = [*listed["training"], *listed["validation"]]
    if kind != "intra" and listed["validation"]:
        table["pairs_val"] = listed["validation"]
    if rule.ignore_labels:
        table["ignore_labels"] = [card.labels[name] for name in rule.ignore_labels]
    return table


def splits(cases: Sequence[Found], card: Card) -> list[dict[str, list[str]]]:
    """The folds where the card says how to split, else nothing.

    By group: the sorted groups are shuffled by numpy's RandomState(1234), and every fifth of them, from the first, the
    second and so on, is one fold's validation set. These are the folds of nnU-Net's own conversion of ACDC.
    """
    names = [case.name for case in cases if case.layout.trained_on]
    if card.fixed_split:
        joined = {case.name for case in cases if case.layout.join}
        return [_fold(names, joined)] if 0 < len(joined) < len(names) else []
    if not card.group:
        return []
    groups = {name: hit[1] if (hit := re.search(card.group, name)) else name for name in names}
    order = np.unique(list(groups.values()))
    if len(order) < _FOLDS:
        return []
    np.random.RandomState(1234).shuffle(order)
    return [_fold(names, {name for name in names if groups[name] in order[fold::_FOLDS]}) for fold in range(_FOLDS)]


def _fold(names: Sequence[str], validation: set[str]) -> dict[str, list[str]]:
    return {
        "train": [name for name in names if name not in validation],
        "val": [name for name in names if name in validation],
    }


def _pairs_table(cases: Sequence[Found], card: Card) -> str:
    """CSV: split, then image file of fixed and moving, below the dataset's folder."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("split", "fixed", "moving"))
    for split in ("training", "validation", "test"):
        chosen = {case.name: case for case in cases if case.layout.split == split}
        for fixed, moving, channels in _pairs(list(chosen), card):
            files = (
                f"images{'Tr' if chosen[name].layout.trained_on else 'Ts'}/{name}_{channel:04d}{card.file_ending}"
                for name, channel in zip((fixed, moving), channels, strict=True)
            )
            table.writerow((split, *files))
    return text.getvalue()


def _pairs(names: Sequence[str], card: Card) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Case names of fixed and moving, and their channels."""
    rule = card.pairs
    assert rule is not None
    both = _channels(card)
    if rule.rule == "channels":
        yield from ((name, name, both) for name in names)
    elif rule.rule == "consecutive":
        yield from ((name, after, both) for name, after in itertools.pairwise(names))
    else:
        fixed, moving = (
            {hit[1]: name for name in names if (hit := re.search(text, name))} for text in (rule.fixed, rule.moving)
        )
        yield from ((fixed[part], moving[part], both) for part in fixed if part in moving)


def _channels(card: Card) -> tuple[int, int]:
    """The places of the fixed and the moving image's channel."""
    rule = card.pairs
    assert rule is not None
    second = min(1, len(card.channels) - 1) if rule.rule == "channels" else 0
    fixed = card.channels.index(rule.fixed_channel) if rule.fixed_channel else 0
    return fixed, card.channels.index(rule.moving_channel) if rule.moving_channel else second


def expected(card: Card, cases: Sequence[Found]) -> Mapping[str, tuple[int, int]]:
    """Split -> (how many cases the card speaks of, how many are there), for splits that have any."""
    counts = {}
    for split in ("training", "validation", "test"):
        there = sum(case.layout.split == split for case in cases)
        known = getattr(card.cases, split)
        if known or there:
            counts[split] = (known, there)
    return counts
