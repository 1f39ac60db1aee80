import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import DataError
from medmamba.evaluate.overlap import evaluate_folder, labels_of, score_case

LABELS = {"one": 1, "two": 2}


def save(path: Path, values: list[int], spacing: tuple[float, ...] = (1, 1, 1), origin: float = 0.0) -> Path:
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(np.array(values, np.uint8).reshape(1, 2, -1))
    image.SetSpacing(spacing)
    image.SetOrigin((origin, 0, 0))
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def pred(tmp_path: Path) -> Path:
    return tmp_path / "pred"


@pytest.fixture
def ref(tmp_path: Path) -> Path:
    return tmp_path / "ref"


def test_dice_by_hand(pred: Path, ref: Path) -> None:
    scores = score_case(save(pred / "a.nii.gz", [1, 1, 1, 0, 2, 0]), save(ref / "a.nii.gz", [1, 1, 0, 1, 0, 2]), LABELS)
    assert scores["one"].dice == pytest.approx(2 * 2 / 6)
    assert scores["two"].dice == 0
    assert (scores["one"].predicted, scores["one"].reference) == (3, 3)


def test_region_joins_its_labels(pred: Path, ref: Path) -> None:
    scores = score_case(save(pred / "a.nii.gz", [1, 2, 0, 0]), save(ref / "a.nii.gz", [2, 1, 0, 0]), {"both": [1, 2]})
    assert scores["both"].dice == 1


def test_both_empty_is_left_out_and_counted(pred: Path, ref: Path) -> None:
    save(pred / "a.nii.gz", [1, 0, 0, 0]), save(ref / "a.nii.gz", [1, 0, 0, 0])
    save(pred / "b.nii.gz", [1, 2, 0, 0]), save(ref / "b.nii.gz", [1, 0, 0, 0])
    report = evaluate_folder(pred, ref, LABELS)
    two = report.labels["two"]
    assert (two.dice, two.scored, two.empty) == (0, 1, 1)
    assert report.labels["one"].dice == 1
    assert report.mean_dice == pytest.approx(0.5)


def test_a_label_that_never_occurs_has_no_figure(pred: Path, ref: Path) -> None:
    save(pred / "a.nii.gz", [1, 0, 0, 0]), save(ref / "a.nii.gz", [1, 0, 0, 0])
    report = evaluate_folder(pred, ref, {"one": 1, "nine": 9})
    assert report.labels["nine"].dice is None
    assert report.mean_dice == 1


def test_ignored_voxels_do_not_count(pred: Path, ref: Path) -> None:
    labels = {"one": 1, "ignore": 3}
    scores = score_case(save(pred / "a.nii.gz", [1, 1, 1, 0]), save(ref / "a.nii.gz", [1, 3, 3, 0]), labels)
    assert set(scores) == {"one"}
    assert scores["one"].dice == 1


def test_report_states_policy_and_is_json(pred: Path, ref: Path) -> None:
    save(pred / "a.nii.gz", [1, 0, 0, 0]), save(ref / "a.nii.gz", [1, 1, 0, 0])
    content = json.loads(json.dumps(evaluate_folder(pred, ref, LABELS).as_json()))
    assert "left out" in content["empty"]
    assert content["cases"]["a"]["one"]["dice"] == pytest.approx(2 / 3)
    assert content["geometry_tolerance"]["spacing"] == 1e-3


def test_missing_case_is_named(pred: Path, ref: Path) -> None:
    save(ref / "a.nii.gz", [0, 1]), save(ref / "b.nii.gz", [0, 1]), save(pred / "a.nii.gz", [0, 1])
    with pytest.raises(DataError, match=r"lacks 1 of 2 cases: b\.nii\.gz"):
        evaluate_folder(pred, ref, LABELS)
    assert set(evaluate_folder(pred, ref, LABELS, cases=["a"]).cases) == {"a"}


@pytest.mark.parametrize(
    ("values", "spacing", "origin", "match"),
    [
        ([0] * 6, (1, 1, 1), 0, "voxels"),
        ([0] * 4, (1, 1, 1.01), 0, "Spacing"),
        ([0] * 4, (1, 1, 1), 0.1, "Origin"),
    ],
)
def test_geometry_must_agree(
    pred: Path, ref: Path, values: list[int], spacing: tuple[float, ...], origin: float, match: str
) -> None:
    with pytest.raises(DataError, match=rf"{match}.*") as caught:
        score_case(save(pred / "a.nii.gz", values, spacing, origin), save(ref / "a.nii.gz", [0] * 4), LABELS)
    assert str(pred / "a.nii.gz") in caught.value.problem


def test_rounding_of_geometry_is_forgiven(pred: Path, ref: Path) -> None:
    score_case(save(pred / "a.nii.gz", [1] * 4, origin=0.001), save(ref / "a.nii.gz", [1] * 4), LABELS)


def test_damaged_file_is_named(pred: Path, ref: Path) -> None:
    save(ref / "a.nii.gz", [0, 1])
    pred.mkdir()
    (pred / "a.nii.gz").write_text("no image")
    with pytest.raises(DataError, match=r"pred/a\.nii\.gz cannot be read"):
        evaluate_folder(pred, ref, LABELS)


def test_folders_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        evaluate_folder(tmp_path / "no", tmp_path, LABELS)
    with pytest.raises(DataError, match=r"holds no \*\.nii\.gz"):
        evaluate_folder(tmp_path, tmp_path, LABELS)


def test_labels_of_a_dataset_json() -> None:
    assert labels_of({"labels": {"background": 0, "a": 1, "b": [1, 2]}}) == {"a": 1, "b": [1, 2]}
    with pytest.raises(DataError, match="no labels"):
        labels_of({})
