import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from medmamba.errors import ConfigError
from medmamba.evaluate.compare import Comparison, compare
from medmamba.evaluate.runs import OVERALL, Method, read_method
from tests.evaluate.made_labels import run_folder


@pytest.fixture(scope="module")
def methods(tmp_path_factory: pytest.TempPathFactory) -> list[Method]:
    """A baseline, the same again, and one that is clearly worse, with two seeds."""
    home = tmp_path_factory.mktemp("runs")
    folders = [run_folder(home / name, 8, flips, seed) for name, flips, seed in
               (("base", 0.1, 0), ("again", 0.1, 0), ("worse_0", 0.5, 1), ("worse_1", 0.5, 2))]  # fmt: skip
    return [read_method(str(folders[0])), read_method(str(folders[1])), read_method(f"worse={folders[2]},{folders[3]}")]


@pytest.fixture(scope="module")
def comparison(methods: list[Method]) -> Comparison:
    return compare(methods, most=3)


def test_differences_are_paired_and_corrected(methods: list[Method], comparison: Comparison) -> None:
    tests = {(one.method, one.target, one.measure): one for one in comparison.tests}
    same = tests["again", OVERALL, "dice"]
    assert (same.difference.mean, same.difference.p_value, same.corrected) == (0, None, None)
    worse = tests["worse", "one", "dice"]
    pairs = [
        (methods[2].value(case, "one", "dice"), methods[0].value(case, "one", "dice")) for case in methods[0].cases
    ]
    apart = np.subtract(*np.array(pairs, float).T)
    assert worse.difference.mean == pytest.approx(apart.mean()) and worse.difference.high < 0
    assert worse.difference.p_value == pytest.approx(stats.wilcoxon(apart).pvalue)
    assert worse.corrected is not None and worse.difference.p_value is not None
    assert worse.difference.p_value < worse.corrected <= 1
    assert worse.difference.lower == 8


def test_spread_over_runs(methods: list[Method], comparison: Comparison) -> None:
    spread, alone = comparison.spreads["worse"]["dice"], comparison.spreads["base"]["dice"]
    runs = [run.means["dice"] for run in methods[2].runs]
    assert spread.runs == tuple(runs)
    assert (spread.mean, spread.sd) == (pytest.approx(np.mean(runs)), pytest.approx(np.std(runs, ddof=1)))
    assert alone.sd is None and alone.cases.n == 8


def test_cases_that_changed_most_come_first(methods: list[Method], comparison: Comparison) -> None:
    assert [one.method for one in comparison.changes] == ["worse"] * 3
    sizes = [abs(one.difference) for one in comparison.changes]
    assert sizes == sorted(sizes, reverse=True)
    every = compare(methods, most=99).changes
    assert len(every) == 8 and max(abs(one.difference) for one in every) == sizes[0]
    first = comparison.changes[0]
    moved = {name: abs(methods[2].value(first.case, name, "dice") - methods[0].value(first.case, name, "dice"))  # type: ignore[operator]
             for name in ("one", "two")}  # fmt: skip
    assert first.target == max(moved, key=lambda name: moved[name])


def test_json_is_plain(comparison: Comparison) -> None:
    content = json.loads(json.dumps(comparison.as_json(), allow_nan=False))
    assert content["methods"]["worse"]["repeats"] == "seeds"
    assert content["differences"][0]["minus"] == "base" and len(content["changed_most"]) == 3


def test_cases_of_one_method_alone_do_not_count(methods: list[Method], tmp_path: Path) -> None:
    fewer = read_method(str(run_folder(tmp_path / "fewer", 5, 0.3)))
    found = compare([methods[0], fewer])
    assert found.tests[0].difference.n == 5 and "3 cases are only in one" in found.notes[0]
    apart = read_method(str(run_folder(tmp_path / "apart", 2, 0.3, first=50)))
    with pytest.raises(ConfigError, match="no case in common"):
        compare([methods[0], apart])


def test_misuse_is_refused(methods: list[Method]) -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        compare(methods[:1])
    with pytest.raises(ConfigError, match="one name"):
        compare([methods[0], methods[0]])
    with pytest.raises(ConfigError, match="no measure 'Dice'"):
        compare(methods, ["Dice"])
