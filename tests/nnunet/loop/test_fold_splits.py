import json
from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.nnunet.loop.fold_splits import FILE, ensure_splits, proposed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six preprocessed cases, as far as their names go."""
    folder = tmp_path / "preprocessed"
    folder.mkdir()
    for number in range(6):
        (folder / f"case{number}.pkl").touch()
    return folder


def test_the_split_is_made_once(data: Path) -> None:
    first = ensure_splits(data.parent, data)
    assert ensure_splits(data.parent, data) == first == json.loads((data.parent / FILE).read_text())
    assert sorted(case for split in first for case in split["val"]) == [f"case{number}" for number in range(6)]
    assert all(set(split["train"]).isdisjoint(split["val"]) for split in first)


def test_looking_writes_nothing(data: Path) -> None:
    assert len(proposed(data.parent, data)) == 5
    assert not (data.parent / FILE).exists()


def test_a_case_that_is_gone_is_named(data: Path) -> None:
    ensure_splits(data.parent, data)
    (data / "case3.pkl").unlink()
    with pytest.raises(DataError, match=r"names 1 case\(s\) that are not in .*: case3"):
        ensure_splits(data.parent, data)


@pytest.mark.parametrize("text", ["{", "{}[", '[{"train": []}]', "[1]", "[]", '[{"train": [], "val": ["a"]}]'])
def test_a_file_that_is_no_split(data: Path, text: str) -> None:
    (data.parent / FILE).write_text(text)
    with pytest.raises(DataError, match="is not a list of splits"):
        ensure_splits(data.parent, data)


def test_too_few_cases(data: Path) -> None:
    for number in range(2):
        (data / f"case{number}.pkl").unlink()
    with pytest.raises(DataError, match="4 training cases, too few for 5 folds"):
        proposed(data.parent, data)
