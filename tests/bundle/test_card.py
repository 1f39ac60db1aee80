import pytest
from pydantic import ValidationError

from medmamba.bundle.card import Card, read_card
from medmamba.errors import BundleError

LEAST = {"name": "a", "network_class": "b", "folds": ["0"]}


def test_round_trip() -> None:
    card = Card(**LEAST, labels={"background": 0, "whole": [1, 2]}, metrics={"0": {"mean": None}}, mirror_axes=[0])
    assert read_card(card.model_dump(), "bundle.json") == card


@pytest.mark.parametrize(
    "entry",
    [
        {"schema_version": 0}, {"schema_version": "1"}, {"schema_version": True}, {"task": "classify"},
        {"folds": []}, {"folds": ["../0"]}, {"folds": ["٣"]}, {"folds": [0]}, {"mirror_axes": [3]},
        {"labels": {"a": -1}}, {"labels": {"a": 1.5}}, {"labels": {"a\n": 1}}, {"name": "x" * 201},
        {"channels": ["\x1b[31m"]}, {"software": {"a": 1}}, {"metrics": {"0": 0.5}}, {"hook": "import os"},
    ],
    ids=str,
)  # fmt: skip
def test_other_entries(entry: dict[str, object]) -> None:
    with pytest.raises(BundleError, match=f"wrong entry: {next(iter(entry))}"):
        read_card({**LEAST, **entry}, "bundle.json")


def test_it_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Card(**LEAST).name = "b"  # type: ignore[misc]
