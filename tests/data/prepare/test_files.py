import os
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medmamba.data.prepare.files import expression, files_below, natural

NAME = st.text("abcXYZ019-_. ", min_size=1, max_size=12).filter(lambda text: not text.startswith("."))


@given(NAME, NAME)
def test_a_placeholder_stands_for_one_name_everywhere(case: str, other: str) -> None:
    rule = expression("{case}/x_{case}-t1.nii.gz")
    hit = rule.fullmatch(f"{case}/x_{case}-t1.nii.gz")
    assert hit and hit["case"] == case
    assume(case != other)
    assert not rule.fullmatch(f"{case}/x_{other}-t1.nii.gz")


@given(NAME, NAME)
def test_what_matches_fills_the_pattern_again(patient: str, frame: str) -> None:
    path = f"{patient}/{patient}_frame{frame}.nii.gz"
    values = expression("{patient}/{patient}_frame{time}.nii.gz").fullmatch(path)
    assert values and "{patient}/{patient}_frame{time}.nii.gz".format(**values.groupdict()) == path


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("{case}.nii*", ["a.nii", "a.nii.gz"], ["b/a.nii", ".nii"]),
        ("**/{case}.png", ["a.png", "x/a.png", "x/y/a.png"], ["a.jpg"]),
        ("a+(b)/{case}.png", ["a+(b)/1.png"], ["aab/1.png"]),
        ("img*/{case}.png", ["img/1.png", "imgs/1.png"], ["img/x/1.png"]),
    ],
)
def test_stars(pattern: str, yes: list[str], no: list[str]) -> None:
    assert all(expression(pattern).fullmatch(path) for path in yes)
    assert not any(expression(pattern).fullmatch(path) for path in no)


def test_where_narrows() -> None:
    rule = expression("{case}.png", (("case", "[0-9]+"),))
    assert rule.fullmatch("12.png") and not rule.fullmatch("12_gt.png")


@given(st.lists(st.integers(0, 10**6), min_size=2, unique=True))
def test_numbers_sort_as_numbers(numbers: list[int]) -> None:
    names = [f"frame{number}.png" for number in numbers]
    assert [int(re.findall(r"\d+", name)[0]) for name in sorted(names, key=natural)] == sorted(numbers)


def test_files_below(tmp_path: Path) -> None:
    for file in ("b/2.nii", "a.nii", "._a.nii", ".git/x", "__MACOSX/y", "b/Thumbs.db", "skip/z", "b/deep/1.nii"):
        (tmp_path / "in" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / file).touch()
    (tmp_path / "in" / "b" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "linked.nii").touch()
    (tmp_path / "in" / "more").symlink_to(tmp_path / "out")
    os.symlink(tmp_path / "nothing", tmp_path / "in" / "dangling.nii")
    found = files_below(tmp_path / "in", leave_out=tmp_path / "in" / "skip")
    assert found == ["a.nii", "b/2.nii", "b/deep/1.nii", "more/linked.nii"]
