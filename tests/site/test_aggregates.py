"""Laws of what may leave: it changes with no single case that is not told of, and holds no value of one."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.evaluate.case import score_arrays
from medmamba.evaluate.report import Report
from medmamba.evaluate.targets import Rules, Target
from medmamba.site.aggregates import aggregates, apart, challenge, counted, document
from medmamba.site.scoring import Scored

RULES = Rules((Target("liver", (1,), "label", True), Target("tumour", (2,), "label", True)))


def scored(carrying: list[tuple[bool, bool]], failures: int = 0, seed: int = 0) -> Scored:
    """A case for each pair: whether liver and tumour are in its reference."""
    random, scores = np.random.default_rng(seed), {}
    for number, labels in enumerate(carrying):
        values = [0, *(value for value, there in zip((1, 2), labels, strict=True) if there)]
        maps = [random.choice(np.array(values, np.uint8), (3, 4, 5)) for _ in range(2)]
        scores[f"ZZPHIZZ{number}"] = score_arrays(*maps, (1.0, 1.0, 1.0), RULES)
    failed = {f"ZZPHIZZ-failed{number}": "It failed." for number in range(failures)}
    return Scored(Report(RULES, scores, failed), dict.fromkeys(failed, 50.0), (), {})


def carriers(carrying: list[tuple[bool, bool]], place: int) -> int:
    return sum(labels[place] for labels in carrying)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=9), st.integers(3, 6), st.integers(0, 3))
def test_a_label_is_told_where_enough_cases_have_it(carrying: Any, least: int, failures: int) -> None:
    found = aggregates(scored(carrying, failures), least)
    for place, name in enumerate(("liver", "tumour")):
        told = found["targets"][name]["measures"] is not None
        assert told == (carriers(carrying, place) >= least)
        for summary in (found["targets"][name]["measures"] or {}).values():
            assert not isinstance(summary["n"], int) or summary["n"] >= least
    assert "ZZPHIZZ" not in json.dumps(found)
    assert found["cases"] == counted(len(carrying) + failures, least)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4), st.integers(0, 1000))
def test_a_label_that_is_not_told_changes_nothing(few: int, seed: int) -> None:
    """What is told of the liver, and of all together, does not depend on how the tumour was segmented."""
    carrying = [(True, number < few) for number in range(6)]
    one = scored(carrying, seed=seed)
    other_scores = {}
    for case, scores in one.report.scores.items():
        other_scores[case] = {**scores, "tumour": scores["liver"]} if scores["tumour"].overlap.reference else scores
    other = Scored(Report(RULES, other_scores, {}), {}, (), {})
    assert aggregates(one, 5) == aggregates(other, 5)


def test_a_failed_case_counts_in_every_target() -> None:
    good, bad = (aggregates(scored([(True, True)] * 6, failures), 5) for failures in (0, 2))
    for name in ("liver", "tumour"):
        before, after = good["targets"][name]["measures"], bad["targets"][name]["measures"]
        for measure, worst in (("dice", 0), ("nsd", 0), ("hd95_mm", 50), ("volume_error_percent", -100)):
            assert after[measure]["n"] == 8
            expected = (before[measure]["mean"] * 6 + worst * 2) / 8
            assert math.isclose(after[measure]["mean"], expected, abs_tol=0.1 if abs(worst) > 1 else 0.001)


def test_a_challenge_gets_its_cases() -> None:
    found = challenge(scored([(True, False)], 1), "sha256:0")
    assert [one["failed"] for one in found["results"]] == [False, True]
    assert found["results"][1]["targets"]["tumour"]["hd95_mm"] == 50
    assert found["aggregates"]["targets"]["liver"]["measures"]["dice"]["n"] == 2


@pytest.mark.parametrize(("number", "told"), [(0, 0), (1, "fewer than 5"), (4, "fewer than 5"), (5, 5)])
def test_counts(number: int, told: Any) -> None:
    assert counted(number, 5) == told


def test_numbers_are_finite_json() -> None:
    json.dumps(document(scored([(True, True)] * 5, 1), 5, None), allow_nan=False)


@pytest.mark.parametrize(
    ("number", "told"), [(20, 20), (19, "fewer than 5 off 20"), (16, "fewer than 5 off 20"), (15, 15)]
)
def test_the_few_between_two_numbers_are_not_told(number: int, told: Any) -> None:
    assert apart(number, 5, [20]) == told and apart(number, 1, [20]) == number


def test_who_lacks_a_label_is_not_told() -> None:
    """The tumour is in all cases but two; predictions without reference have a Dice and no error of the volume."""
    found = aggregates(scored([(True, number > 1) for number in range(12)]), 5)["targets"]
    assert {one["n"] for one in found["liver"]["measures"].values()} == {12}
    assert {one["n"] for one in found["tumour"]["measures"].values()} == {"fewer than 5 off 12"}


@pytest.mark.parametrize("least", [3, 5])
def test_as_many_figures_as_cases_are_not_told(least: int) -> None:
    """Mean, sd, median and both ends of an interval whose draws are known are five equations for five cases."""
    for number in (least, 2 * least - 1, 2 * least):
        found = aggregates(scored([(True, True)] * number), least)
        for summary in (*found["targets"]["liver"]["measures"].values(), *found["mean"].values()):
            told = {name for name, value in summary.items() if value is not None} - {"n"}
            assert told == {"mean"} if number < 2 * least else {"mean", "low", "high"} <= told


def test_a_median_is_no_case_s_own_figure() -> None:
    """Of an odd number it would be 2 * common / (voxels of both), and with all digits say how many voxels these are."""
    made = scored([(True, True)] * 11)
    own = {score.values()["dice"] for scores in made.report.scores.values() for score in scores.values()}
    figures = aggregates(made, 5)["targets"]["liver"]["measures"]
    assert figures["dice"]["median"] not in own
    for measure, digits in (("dice", 3), ("nsd", 3), ("hd95_mm", 1), ("volume_error_percent", 1)):
        for name in ("mean", "sd", "median", "low", "high"):
            assert figures[measure][name] == round(figures[measure][name], digits)
