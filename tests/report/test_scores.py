import json
from pathlib import Path

import numpy as np
import pytest

from medmamba.errors import ConfigError, DataError
from medmamba.report.scores import OVERALL, Scores, read_scores
from tests.report.made import make, save, score, scores_of_many


def test_the_worst_case_comes_first(tmp_path: Path) -> None:
    found = read_scores(make(tmp_path).folder / "scores")
    assert found.cases == ("c", "b", "a") and found.targets == ("ball", "core")
    assert found.value("a", "ball", "dice") == 1 and found.measures[:3] == ("dice", "nsd", "hd95_mm")
    mean = found.value("c", OVERALL, "dice")
    assert mean == pytest.approx(np.mean([found.value("c", one, "dice") for one in found.targets]))
    assert found.value("nobody", "ball", "dice") is None


def test_structures_in_one_map_alone_are_marked(tmp_path: Path) -> None:
    empty, one = np.zeros((2, 3, 3), np.uint8), np.ones((2, 3, 3), np.uint8)
    for case, truth, predicted in (("m", one, empty), ("i", empty, one), ("n", empty, empty)):
        save(tmp_path / "ref" / f"{case}.nii.gz", truth)
        save(tmp_path / "pred" / f"{case}.nii.gz", predicted)
    found = read_scores(score(tmp_path))
    assert [found.empty(case, "ball") for case in "min"] == ["missed", "invented", "in neither"]
    assert found.cases[-1] == "n"  # nothing to find is no bad case


def test_what_stands_out(tmp_path: Path) -> None:
    path = scores_of_many(tmp_path, 30, 1)
    content = json.loads(path.read_text())
    for number, case in enumerate(content["per_case"].values()):
        case["structure_00"] |= {"dice": 0.9 + number / 1000, "hd95_mm": 3.0 + number / 100}
    content["per_case"]["case_0007"]["structure_00"] |= {"dice": 0.2, "hd95_mm": 30.0}
    path.write_text(json.dumps(content))
    found = read_scores(path)
    for measure in ("dice", "hd95_mm"):
        assert [case for case in found.cases if found.stands_out(case, "structure_00", measure)] == ["case_0007"]


def test_the_choice_has_the_worst_the_median_and_the_best(tmp_path: Path) -> None:
    found = read_scores(scores_of_many(tmp_path, 101, 2))
    chosen = found.chosen(10)
    assert [case for case, _ in chosen[:8]] == list(found.cases[:8])
    assert chosen[0][1] == "the worst case" and chosen[1][1] == "2 of 101, worst first"
    assert chosen[8] == (found.cases[50], "the median case") and chosen[9] == (found.cases[100], "the best case")
    assert len(read_scores(scores_of_many(tmp_path, 3, 2)).chosen(10)) == 3
    assert Scores(("a", "b")).chosen(1) == [("a", "")]


def test_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ConfigError):
        read_scores(tmp_path)
    with pytest.raises(DataError):
        read_scores(tmp_path / "none")
