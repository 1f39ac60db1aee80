import csv
import json
from pathlib import Path

import numpy as np
import pytest

from medmamba.evaluate.case import Score, score_arrays
from medmamba.evaluate.report import FORMAT, Report
from medmamba.evaluate.targets import rules_of

RULES = rules_of({"labels": {"background": 0, "one": 1, "two": 2}})


def scores(p: list[int], r: list[int]) -> dict[str, Score]:
    maps = (np.array(values, np.uint8).reshape(1, 1, -1) for values in (p, r))
    return score_arrays(*maps, (1.0, 1.0, 1.0), RULES)


@pytest.fixture
def report() -> Report:
    cases = {
        "both": scores([1, 1, 2, 0], [1, 1, 2, 0]),
        "half": scores([1, 0, 0, 0], [1, 1, 1, 0]),
        "missed": scores([1, 0, 0, 0], [1, 0, 2, 0]),
        "invented": scores([1, 2, 0, 0], [1, 0, 0, 0]),
    }
    return Report(RULES, cases, {"broken": "it is damaged"}, ("a note",))


def test_summaries_leave_out_empty_cases_and_count_them(report: Report) -> None:
    one, two = report.summaries["one"]["dice"], report.summaries["two"]["dice"]
    assert one is not None and two is not None
    assert (one.mean, one.n, one.median) == (pytest.approx((1 + 0.5 + 1 + 1) / 4), 4, 1)
    assert (two.mean, two.n) == (pytest.approx(1 / 3), 3)
    assert report.empties("two") == {"empty": 1, "one_empty": 2}
    assert one.low <= one.mean <= one.high and one.sd == pytest.approx(np.std([1, 0.5, 1, 1], ddof=1))
    assert report.mean_dice == pytest.approx((one.mean + two.mean) / 2)


def test_failures_count_as_worst_beside_the_mean(report: Report) -> None:
    one, far = report.summaries["one"]["dice"], report.summaries["one"]["hd95_mm"]
    assert one is not None and one.failures_as_worst == pytest.approx(3.5 / 5)
    assert far is not None and far.failures_as_worst is None


def test_detection_counts_cases(report: Report) -> None:
    found = report.detection("two")
    assert (found.found, found.missed, found.invented, found.absent) == (1, 1, 1, 1)
    assert (found.sensitivity, found.specificity) == (0.5, 0.5)
    assert report.detection("one").specificity is None
    apart = Report(RULES, {"a": scores([0, 1, 0], [0, 0, 1])}, {})
    assert apart.detection("one").missed == 1  # both have it, in different places


def test_json_states_rules_and_has_aggregates_apart_from_cases(report: Report) -> None:
    content = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert content["format"] == FORMAT and content["lesion_rules"] is None
    assert "left out" in content["empty"]["both"] and "diagonal" in content["empty"]["one"]
    assert (content["cases"], content["failed"], content["failures"]) == (4, 1, {"broken": "it is damaged"})
    assert content["targets"]["two"]["measures"]["dice"]["n"] == 3
    assert content["per_case"]["half"]["one"]["dice"] == 0.5
    aggregates = {name: part for name, part in content.items() if name not in ("per_case", "failures")}
    assert "half" not in json.dumps(aggregates)


def test_files_hold_a_row_for_each_target_of_each_case(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / "new")
    assert json.loads((tmp_path / "new" / "metrics.json").read_text()) == json.loads(json.dumps(report.as_json()))
    with (tmp_path / "new" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and rows[2]["case"] == "half" and float(rows[2]["dice"]) == 0.5
    assert rows[3]["dice"] == "" and rows[3]["empty"] == "both"


def test_regions_asked_for_make_the_mean_and_others_do_not() -> None:
    from medmamba.data.cards import card
    from medmamba.data.prepare.lists import dataset_json

    brats = card("BraTS2023")
    rules = rules_of(dataset_json(brats, 1), brats)
    p, r = np.zeros((2, 9, 9, 9), np.uint8)
    p[2:7, 2:7, 2:7], r[2:7, 2:7, 2:7] = 3, 3
    r[0, 0, 0] = 2
    report = Report(rules, {"a": score_arrays(p, r, (1.0, 1.0, 1.0), rules)}, {})
    dice = {name: found["dice"] for name, found in report.summaries.items()}
    assert dice["SNFH_ED"] is not None and dice["SNFH_ED"].mean == 0 and dice["NCR"] is None
    assert report.mean_dice is not None and report.mean_dice > 0.99
    lesions = report.lesions("WT")
    assert (lesions["found"], lesions["small"], lesions["sensitivity"]) == (1, 0, 1)  # the voxel is 2 from the cube


def test_without_a_score_there_is_nothing_to_sum_up(tmp_path: Path) -> None:
    report = Report(RULES, {}, {"a": "it is damaged"})
    report.write(tmp_path)
    assert report.mean_dice is None and (tmp_path / "metrics.csv").read_text().strip() == "case,target"
