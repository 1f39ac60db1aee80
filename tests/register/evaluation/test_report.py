"""Scores of many pairs together."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import ConfigError, DataError
from medmamba.files import write_json
from medmamba.register.evaluation.report import (
    FORMAT,
    EvaluationReport,
    Run,
    check_comparable,
    column,
    difference,
    differences,
    read_run,
    summary,
)
from medmamba.register.evaluation.scoring import DEFINITIONS, LabelScore, PairScore

FIELD = ("folding_percent", "sdlogj", "sdlogj_l2r", "outside_percent")


def pair(name: str, dice: float | None, tre: tuple[float, ...] = (), label: int = 1) -> PairScore:
    one = LabelScore(dice, 1.0, 2.0, 3.0, 10, 12, "")
    return PairScore(name, {label: one}, tre, dict.fromkeys(FIELD, 0.1))


def run(name: str = "this", **dice: float | None) -> Run:
    return Run(name, "linear", {pair: {"dice": value} for pair, value in dice.items()})


REPORT = EvaluationReport(
    (pair("a", 0.8, (1.0, 3.0)), pair("b", 0.6), pair("c", None, label=7)),
    "linear",
    {"before": run("before", a=0.5, b=0.7)},
    ("A note.",),
)


def test_figures_in_order_and_none_that_nobody_has() -> None:
    per_label = ["dice_1", "hd95_mm_1", "hd95_mm_7"]
    assert REPORT.figures() == [*DEFINITIONS, *per_label]
    without_landmarks = EvaluationReport((pair("b", 0.6),), "linear")
    assert without_landmarks.figures() == [*(name for name in DEFINITIONS if name != "tre_mm"), *per_label[:2]]


def test_the_report_holds_means_differences_and_pairs() -> None:
    content = json.loads(json.dumps(REPORT.as_json(), allow_nan=False))
    assert content["format"] == FORMAT and next(iter(content)) == "format"
    assert content["summary"]["dice"]["mean"] == pytest.approx(0.7) and content["summary"]["dice"]["n"] == 2
    landmarks = content["summary"]["tre_mm"]
    assert (landmarks["mean"], landmarks["low"], landmarks["n"], landmarks["quantiles"]["p95"]) == (2, 2, 1, 2)
    gain = content["differences"]["before"]["dice"]
    assert gain["mean"] == pytest.approx((0.3 - 0.1) / 2) and (gain["higher"], gain["lower"], gain["n"]) == (1, 1, 2)
    assert [one["name"] for one in content["pairs"]] == ["a", "b", "c"] and content["notes"] == ["A note."]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_json(tmp_path / "mine.json", REPORT.as_json())
    found = read_run(tmp_path / "mine.json")
    assert found == Run("mine", "linear", REPORT.run().values)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.none() | st.floats(0, 1)))
def test_a_run_does_not_differ_from_itself(values: dict[str, float | None]) -> None:
    mine = run(**values)
    found = difference(mine, mine, "dice")
    known = [value for value in values.values() if value is not None]
    assert (found is None) == (not known)
    if found is not None:
        assert (found.mean, found.low, found.high, found.n, found.p_value) == (0, 0, 0, len(known), None)


def test_only_pairs_that_both_have_count_whatever_their_order() -> None:
    mine, other = run(a=0.9, b=0.5, c=None, d=0.1), run("other", x=0.0, c=0.2, b=0.25, a=0.4)
    found = difference(mine, other, "dice")
    assert found is not None and found.n == 2 and found.mean == pytest.approx((0.5 + 0.25) / 2)
    assert list(differences(mine, other)) == ["dice"]
    assert differences(mine, run("other", x=1.0)) == {}
    assert difference(mine, other, "tre_mm") is None


def test_columns_and_summaries_of_what_is_missing() -> None:
    assert column({"a": {"dice": 0.5}, "b": {}}, "dice") == [0.5, None]
    assert summary([None, None]) == {"mean": None, "n": 0, "quantiles": {}}
    assert summary([]) == summary([None])
    found = summary([1.0, None, 3.0])
    assert (found["mean"], found["n"], found["quantiles"]["p50"]) == (2.0, 2, 2.0)
    assert 1 <= found["low"] <= 2 <= found["high"] <= 3


def test_what_can_be_compared() -> None:
    mine = run(a=0.5, b=0.6, c=0.7)
    assert check_comparable(mine, run("old", a=0.1, b=0.1, c=0.1), Path("old.json")) == ""
    assert check_comparable(mine, run("old", a=0.1, z=0.1), Path("old.json")).startswith("2 of 3 pairs are not in old")
    with pytest.raises(ConfigError, match=r"old\.json has none of these pairs"):
        check_comparable(mine, run("old", z=0.1), Path("old.json"))
    with pytest.raises(ConfigError, match="warped labels by nearest, this run by linear") as caught:
        check_comparable(mine, Run("old", "nearest", mine.values), Path("old.json"))
    assert "--label-interp" in caught.value.remedy


GOOD = {"format": FORMAT, "label_interpolation": "linear", "pairs": [{"name": "a", "values": {"dice": 0.5}}]}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "medmamba evaluation 1"},
        {"pairs": {}},
        {"pairs": None},
        {"pairs": [{"name": "a"}]},
        {"pairs": ["a"]},
        {"pairs": [{"name": "a", "values": [1]}]},
        {"pairs": [{"name": "a", "values": {"dice": "good"}}]},
        {"label_interpolation": None},
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, change: dict) -> None:
    write_json(tmp_path / "old.json", GOOD)
    assert read_run(tmp_path / "old.json").values == {"a": {"dice": 0.5}}
    content = {**GOOD, **change}
    write_json(tmp_path / "old.json", {key: value for key, value in content.items() if value is not None})
    with pytest.raises(ConfigError, match=r"old\.json is no report"):
        read_run(tmp_path / "old.json")


def test_a_report_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"old\.json"):
        read_run(tmp_path / "old.json")
