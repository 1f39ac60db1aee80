from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.data.scoring import LesionRules
from medmamba.evaluate.case import DEFINITIONS, score_arrays, score_case
from medmamba.evaluate.overlap import Overlap
from medmamba.evaluate.targets import rules_of
from tests.evaluate.made_labels import RULES, save, small
from tests.evaluate.made_masks import pairs

REGIONS = rules_of({"labels": {"background": 0, "all": [1, 2], "core": [2]}})


def test_one_case_by_hand(tmp_path: Path) -> None:
    p = save(tmp_path / "p.nii.gz", small([1, 1, 1, 0, 2, 0]), (2, 1, 1))
    r = save(tmp_path / "r.nii.gz", small([1, 1, 0, 1, 0, 0]), (2, 1, 1))
    scores = score_case(p, r, RULES)
    one, two = scores["one"], scores["two"]
    assert one.overlap == Overlap(3, 3, 2) and one.empty == ""
    assert (one.volume_error_ml, one.volume_error_percent) == (0, 0)
    assert one.nsd == pytest.approx(5 / 6)  # one of three and three lies 2 mm away
    assert (two.overlap.dice, two.nsd, two.empty) == (0, 0, "reference")
    assert two.hd95_mm == two.assd_mm == pytest.approx(np.linalg.norm((6, 2, 1)))
    assert (two.volume_error_ml, two.volume_error_percent) == (pytest.approx(0.002), None)


def test_both_empty_has_no_figures(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", small([1, 0, 0, 0]))
    two = score_case(path, path, RULES)["two"]
    assert two.empty == "both"
    assert {name for name, value in two.values().items() if value is not None} == {"volume_error_ml"}


def test_region_joins_its_labels() -> None:
    p, r = np.array([[[1, 2, 0, 0]]], np.uint8), np.array([[[2, 1, 0, 0]]], np.uint8)
    scores = score_arrays(p, r, (1, 1, 1), REGIONS)
    assert (scores["all"].overlap.dice, scores["core"].overlap.dice) == (1, 0)


def test_ignored_voxels_are_background_in_both(tmp_path: Path) -> None:
    rules = rules_of({"labels": {"background": 0, "one": 1, "ignore": 3}})
    p, r = save(tmp_path / "p.nii.gz", small([1, 1, 1, 0])), save(tmp_path / "r.nii.gz", small([1, 3, 3, 0]))
    scores = score_case(p, r, rules)
    assert set(scores) == {"one"} and scores["one"].overlap == Overlap(1, 1, 1)


@given(st.integers(0, 10**6))
def test_what_lies_around_does_not_matter(seed: int) -> None:
    """More background, and other labels beside, change no figure of a target."""
    p, r, spacing = next(pairs(1, seed))
    rules = rules_of({"labels": {"one": 1, "two": 2}}, lesion_wise=True)
    plain = score_arrays(p.astype(np.uint8), r.astype(np.uint8), spacing, rules)["one"]
    wide = [np.pad(mask.astype(np.uint8), 3) for mask in (p, r)]
    wide[0][0], wide[1][-1] = 2, 2
    other = score_arrays(wide[0], wide[1], spacing, rules)["one"]
    if not plain.empty:
        assert other.values() == pytest.approx(plain.values())


def test_lesions_come_where_rules_ask_for_them() -> None:
    p = np.zeros((6, 6, 6), np.uint8)
    p[1:3, 1:3, 1:3] = 1
    assert "lesion_dice" not in score_arrays(p, p, (1, 1, 1), RULES)["one"].values()
    rules = rules_of({"labels": {"one": 1, "two": 2}}, lesion_wise=True)
    assert rules.lesions == LesionRules()
    scores = score_arrays(p, p, (2, 2, 2), rules)
    assert set(scores["one"].values()) == set(DEFINITIONS)
    assert (scores["one"].as_json()["lesions_found"], scores["two"].values()["lesion_dice"]) == (1, 1)


def test_real_labels_are_perfect_with_themselves_and_less_when_moved(shared_data: Path) -> None:
    path = sorted((shared_data / "Dataset004_Hippocampus" / "labelsTr").glob("*.nii.gz"))[0]
    scores = score_case(path, path, RULES)
    assert all(score.overlap.dice == score.nsd == 1 and score.hd95_mm == 0 for score in scores.values())
    from medmamba.evaluate.labels import read_labels

    places, grid = read_labels(path, (0, 1, 2))
    moved = score_arrays(np.roll(places, 2, axis=2), places, grid.spacing[::-1], RULES)
    for score in moved.values():
        assert score.overlap.dice is not None and 0.5 < score.overlap.dice < 1
        assert score.hd95_mm == pytest.approx(2 * grid.spacing[0]) and score.volume_error_percent == 0
