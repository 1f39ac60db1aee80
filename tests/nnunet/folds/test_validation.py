"""Validation of a fold beside nnU-Net's own, on weights that were not trained: what counts is that files agree."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from medmamba.errors import DataError
from medmamba.nnunet import checkpoints, host
from medmamba.nnunet.batches import BatchError
from medmamba.nnunet.folds import validation
from medmamba.nnunet.folds.scoring import read_summary
from medmamba.nnunet.folds.validation import validate
from tests.nnunet.stock_run import small_plans, stock_fold

DATASETS = {"labels": "Dataset901_Blobs", "regions": "Dataset902_Blobs"}
FAST: dict[str, Any] = {"device": "cpu", "precision": "fp32"}


@pytest.fixture
def results(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    monkeypatch.setattr("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.default_num_processes", 1)
    return tmp_path / "results"


def without_paths(summary: Path) -> str:
    """A summary.json's text but for the folder it lies in."""
    return summary.read_text().replace(str(summary.parent), "FOLDER")


@pytest.mark.parametrize("kind", list(DATASETS))
def test_files_are_nnunets(kind: str, results: Path, workplace: Path, tmp_path: Path) -> None:
    trainer = stock_fold(small_plans(workplace, DATASETS[kind]), "3d_lowres", fold=1)
    fold, base = Path(trainer.output_folder), Path(trainer.output_folder_base)
    with host.muted():
        trainer.perform_actual_validation(save_probabilities=True)
    expected = without_paths(fold / "validation/summary.json")
    theirs = shutil.move(fold / "validation", tmp_path / "theirs")
    shutil.move(base / "predicted_next_stage", tmp_path / "next")
    told: list[tuple[str, int, int]] = []
    found = validate(fold, **FAST, engine=False, save_probabilities=True, on_case=lambda *one: told.append(one))
    assert found is not None and found.folder == fold / "validation"
    assert sorted(p.name for p in found.folder.iterdir()) == sorted(p.name for p in theirs.iterdir())
    assert told == [(told[0][0], 1, 1)]
    for file in theirs.glob("*.nii.gz"):
        ours = found.folder / file.name
        assert ours.read_bytes() == file.read_bytes()
        case = file.name.removesuffix(".nii.gz")
        a, b = (np.load(folder / f"{case}.npz")["probabilities"] for folder in (found.folder, theirs))
        assert a.dtype == b.dtype and np.array_equal(a, b)
        a, b = (pickle.loads((folder / f"{case}.pkl").read_bytes()) for folder in (found.folder, theirs))
        assert repr(a) == repr(b)
        stage = "3d_cascade_fullres"
        a, b = (nextstage(folder / stage, case) for folder in (base / "predicted_next_stage", tmp_path / "next"))
        assert np.array_equal(a, b)
    assert without_paths(found.folder / "summary.json") == expected
    assert list(found.dice) == {"labels": ["shell", "core"], "regions": ["whole", "core"]}[kind]
    assert found.mean_dice == pytest.approx(read_summary(theirs / "summary.json")["foreground_mean"]["Dice"])


def nextstage(folder: Path, case: str) -> Any:
    import blosc2

    return blosc2.open(urlpath=str(folder / f"{case}.b2nd"), mode="r")[:]


def test_the_engine_validates_alike(results: Path, workplace: Path) -> None:
    fold = Path(stock_fold(small_plans(workplace, DATASETS["labels"])).output_folder)
    plain, fast = (validate(fold, **FAST, engine=engine, overwrite=True) for engine in (False, True))
    assert plain is not None and fast is not None
    assert fast.mean_dice == pytest.approx(plain.mean_dice, abs=1e-3)


def test_what_is_done_stays(results: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold = Path(stock_fold(small_plans(workplace, DATASETS["labels"]), fold=2).output_folder)
    validate(fold, **FAST)
    (file,) = (fold / "validation").glob("*.nii.gz")
    before = file.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(validation, "Model", lambda *_: pytest.fail("there was nothing to predict"))
        validate(fold, **FAST)
    validate(fold, **FAST, save_probabilities=True)  # its .npz is not there yet
    after = file.stat().st_mtime_ns
    assert after > before
    (fold / checkpoints.FINAL).touch()  # trained on: the predictions are of older weights
    validate(fold, **FAST)
    assert file.stat().st_mtime_ns > after


def test_a_bad_case_does_not_stop_the_others(results: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = small_plans(workplace, DATASETS["labels"])
    fold = Path(stock_fold(plans, fold="all").output_folder)  # type: ignore[arg-type]
    load = nnUNetDatasetBlosc2.load_case

    def broken(self: Any, case: str) -> Any:
        if case == "c3":
            raise RuntimeError("blosc cannot read it")
        return load(self, case)

    with monkeypatch.context() as patch:
        patch.setattr(nnUNetDatasetBlosc2, "load_case", broken)
        with pytest.raises(BatchError, match="1 of 5 cases failed: c3: blosc cannot read it"):
            validate(fold, **FAST)
    assert len(read_summary(fold / "validation/summary.json")["metric_per_case"]) == 4
    found = validate(fold, **FAST)
    assert found is not None and found.cases == 5


def test_processes_share_the_cases(results: Path, workplace: Path) -> None:
    plans = small_plans(workplace, DATASETS["labels"])
    fold = Path(stock_fold(plans, fold="all").output_folder)  # type: ignore[arg-type]
    assert validate(fold, **FAST, rank=1, world=2, barrier=lambda: None) is None
    assert sorted(path.name for path in (fold / "validation").iterdir()) == ["c1.nii.gz", "c3.nii.gz"]
    (fold / "validation/c1.nii.gz").unlink()
    with pytest.raises(BatchError, match="c1: not predicted"):
        validate(fold, **FAST, rank=0, world=2, barrier=lambda: None)


def test_a_cascades_second_stage(results: Path, workplace: Path) -> None:
    plans = small_plans(workplace, DATASETS["labels"])
    second = Path(stock_fold(plans, "3d_cascade_fullres").output_folder)
    with pytest.raises(BatchError, match="validate 3d_lowres first"):
        validate(second, **FAST)
    validate(Path(stock_fold(plans, "3d_lowres").output_folder), **FAST)
    found = validate(second, **FAST)
    assert found is not None and found.cases == 1


def test_what_cannot_be_validated(results: Path, workplace: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no fold folder"):
        validate(tmp_path)
    with pytest.raises(DataError, match=r"no checkpoint .*checkpoint_final\.pth.*Train this fold"):
        validate(tmp_path / "fold_0")
