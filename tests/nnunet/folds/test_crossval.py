"""Cross-validations put together, beside nnU-Net's own way of doing it."""

import json
from multiprocessing import dummy
from pathlib import Path

import pytest
from nnunetv2.evaluation.accumulate_cv_results import accumulate_cv_results

from medmamba.errors import ConfigError, DataError
from medmamba.nnunet.folds import scoring
from medmamba.nnunet.folds.crossval import summary
from tests.nnunet.made_models import made_model, noise
from tests.nnunet.small_runs import PLAIN, REGIONS

FOLDS = (0, 1, 2, 3, 4)


@pytest.mark.parametrize("number", [PLAIN, REGIONS])
def test_the_numbers_are_nnunets(number: int, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made_model(workplace, tmp_path, "nnUNetPlans", noise(0.2, 1), number, probabilities=False)
    found = summary(model, FOLDS)
    monkeypatch.setattr("multiprocessing.get_context", lambda _: dummy)  # threads, or this takes a minute
    accumulate_cv_results(str(model), str(tmp_path / "theirs"), FOLDS, 1)
    ours = json.loads((found.folder / "summary.json").read_text().replace(str(found.folder), "F"))
    assert ours == json.loads((tmp_path / "theirs/summary.json").read_text().replace(str(tmp_path / "theirs"), "F"))
    names = {path.name for path in found.folder.iterdir()}
    assert names == {path.name for path in (tmp_path / "theirs").iterdir()}
    assert found.folder.name == "crossval_results_folds_0_1_2_3_4"
    assert found.mean.dice == ours["foreground_mean"]["Dice"]


def test_folds_one_by_one(workplace: Path, tmp_path: Path) -> None:
    found = summary(made_model(workplace, tmp_path, "nnUNetPlans", noise(0.2, 1), probabilities=False), FOLDS)
    per_case = scoring.read_summary(found.folder / "summary.json")["metric_per_case"]
    assert sorted(found.labels["core"].folds) == sorted(one["metrics"][2]["Dice"] for one in per_case)
    assert found.mean.spread is not None and 0 < found.mean.spread < 0.1
    assert [row[0] for row in found.rows()] == ["shell", "core", "mean"]
    assert {len(row) for row in found.rows()} == {len(found.columns)}


def test_what_is_up_to_date_stays(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made_model(workplace, tmp_path, "nnUNetPlans", noise(0.2, 1), probabilities=False)
    first = summary(model, FOLDS)
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score", lambda *_: pytest.fail("nothing has changed"))
        assert summary(model, FOLDS) == first
    made_model(workplace, tmp_path / "other", "nnUNetPlans", noise(0, 1), probabilities=False)
    (better,) = (tmp_path / "other").glob("*/*/fold_3/validation/*.nii.gz")
    better.replace(model / "fold_3/validation" / better.name)
    assert summary(model, FOLDS).mean.folds[3] == 1


def test_missing_folds_and_cases_are_named(workplace: Path, tmp_path: Path) -> None:
    model = made_model(workplace, tmp_path, "nnUNetPlans", noise(0.2, 1), probabilities=False)
    (model / "fold_2/validation").rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"not validated: fold 2\. Run: medmamba validate --model .* --folds 2$"):
        summary(model, FOLDS)
    (model / "fold_2/checkpoint_final.pth").unlink()
    with pytest.raises(
        DataError, match=r"not validated: fold 2\. Run: nnUNetv2_train Dataset901_Blobs 3d_fullres FOLD"
    ):
        summary(model, FOLDS)
    for file in (model / "fold_4/validation").glob("*.nii.gz"):
        file.rename(file.with_name("c9.nii.gz"))
    with pytest.raises(
        DataError, match=r"not validated: fold 2; fold 4 lacks 1 of 1 cases: c\d.*; then: .* --folds 4$"
    ):
        summary(model, FOLDS)
    assert summary(model, (0, 1)).cases == 2
    with pytest.raises(ConfigError, match="no cross-validation of folds all"):
        summary(model, ("all",))


def test_a_label_map_that_cannot_be_read(workplace: Path, tmp_path: Path) -> None:
    model = made_model(workplace, tmp_path, "nnUNetPlans", noise(0.2, 1), probabilities=False)
    (file,) = (model / "fold_1/validation").glob("*.nii.gz")
    file.write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 5 cases failed"):
        summary(model, FOLDS)
    assert not (model / "crossval_results_folds_0_1_2_3_4/summary.json").exists()


def test_a_label_that_no_case_has(workplace: Path, tmp_path: Path) -> None:
    model = made_model(workplace, tmp_path, "nnUNetPlans", lambda _, labels: labels, probabilities=False)
    dataset = json.loads((model / "dataset.json").read_text())
    dataset["labels"]["rare"] = 3
    (model / "dataset.json").write_text(json.dumps(dataset))
    found = summary(model, FOLDS)
    assert found.labels["rare"].dice is None and found.mean.dice == 1
    assert found.rows()[2] == ("rare", *["-"] * 7)
