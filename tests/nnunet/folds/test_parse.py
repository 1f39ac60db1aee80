"""Folds as typed."""

import pytest

from medmamba.errors import ConfigError
from medmamba.nnunet.folds.parse import as_text, parse_folds


@pytest.mark.parametrize(
    ("text", "folds"),
    [
        ("0", (0,)),
        ("0-4", (0, 1, 2, 3, 4)),
        ("0,2,4", (0, 2, 4)),
        ("4, 0-1,1", (4, 0, 1)),
        ("3-3", (3,)),
        ("all", ("all",)),
    ],
)
def test_lists(text: str, folds: tuple[int | str, ...]) -> None:
    assert parse_folds(text) == folds
    assert parse_folds(as_text(parse_folds(text))) == folds


@pytest.mark.parametrize("text", ["", "-1", "2-", "4-0", "a", "0;1", "all,0", "1.5", "0-4-5", "²"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ConfigError, match="fold"):
        parse_folds(text)


def test_short() -> None:
    assert [as_text(folds) for folds in ((0, 1, 2), (0, 1), (0, 2), ("all",))] == ["0-2", "0,1", "0,2", "all"]
