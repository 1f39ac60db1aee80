"""One small run from training to prediction, and what can go wrong around it."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from medmamba.errors import ConfigError, DataError, MedMambaError
from medmamba.files import read_json
from medmamba.networks.umamba import UMambaBot
from medmamba.nnunet import checkpoints, door, prediction
from medmamba.nnunet.trainer import EpochReport
from medmamba.nnunet.training import TrainOptions, train

PLAIN, REGIONS = 901, 902


def options(**changes: Any) -> TrainOptions:
    given: dict[str, Any] = {
        "network": "umamba-bot",
        "preset": "small",
        "epochs": 2,
        "iterations": 2,
        "seed": 3,
        "precision": "fp32",
    }
    return TrainOptions(**{**given, "device": "cpu", "patch_size": (16, 16, 16), **changes})


@pytest.fixture(scope="module")
def run(workplace: Path) -> tuple[Path, list[EpochReport]]:
    reports: list[EpochReport] = []
    return train(PLAIN, options(), reports.append), reports


def test_reports(run: tuple[Path, list[EpochReport]]) -> None:
    fold, reports = run
    assert fold.name == "fold_0"
    assert [(report.epoch, report.epochs) for report in reports] == [(1, 2), (2, 2)]
    assert all(np.isfinite([report.train_loss, report.val_loss, report.mean_dice]).all() for report in reports)
    assert len(reports[0].dice) == 2
    assert reports[0].precision.startswith(("fp32", "bf16"))


def test_nnunet_stays_off_the_console(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(PLAIN, options(epochs=1, iterations=1, fold=1))
    assert capfd.readouterr().out == ""


def test_the_seed_makes_a_run_repeatable(run: tuple[Path, list[EpochReport]]) -> None:
    again: list[EpochReport] = []
    train(PLAIN, options(fold="all"), again.append)
    more: list[EpochReport] = []
    train(PLAIN, options(fold="all"), more.append)
    assert [report.train_loss for report in again] == [report.train_loss for report in more]


def test_the_plans_beside_the_checkpoint_carry_the_network(run: tuple[Path, list[EpochReport]]) -> None:
    configuration = read_json(run[0].parent / "plans.json")["configurations"]["3d_fullres"]
    assert configuration["architecture"]["network_class_name"] == "medmamba.networks.umamba.UMambaBot"
    assert configuration["patch_size"] == [16, 16, 16]


def test_resuming_adds_epochs(run: tuple[Path, list[EpochReport]]) -> None:
    reports: list[EpochReport] = []
    fold = train(PLAIN, options(epochs=3, resume=True), reports.append)
    assert [report.epoch for report in reports] == [3]
    content = checkpoints.read(fold / checkpoints.FINAL)
    assert content["current_epoch"] == 3
    assert len(content["logging"]["train_losses"]) == 3


def test_resuming_a_finished_run_does_nothing(run: tuple[Path, list[EpochReport]]) -> None:
    before = (run[0] / checkpoints.FINAL).stat().st_mtime_ns
    train(PLAIN, options(epochs=1, resume=True))
    assert (run[0] / checkpoints.FINAL).stat().st_mtime_ns == before


def test_prediction_has_the_images_geometry(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    model = prediction.model_folder(PLAIN, "umamba-bot", "small")
    assert model == run[0].parent
    images = workplace / "raw/Dataset901_Blobs/imagesTr"
    seen: list[tuple[str, int, int]] = []
    files = prediction.predict(
        model, images, tmp_path, folds=[0], mirror=False, device="cpu", on_case=lambda *case: seen.append(case)
    )
    assert [file.name for file in files] == [f"c{case}.nii.gz" for case in range(5)]
    assert seen[-1] == ("c4", 5, 5)
    written, image = sitk.ReadImage(str(files[0])), sitk.ReadImage(str(images / "c0_0000.nii.gz"))
    assert written.GetSize() == image.GetSize()
    assert set(np.unique(sitk.GetArrayFromImage(written))) <= {0, 1, 2}


def test_a_bad_case_does_not_stop_the_others(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    good = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    bad = tmp_path / "a_0000.nii.gz"
    bad.write_bytes(b"no image")
    with pytest.raises(prediction.BatchError, match="1 of 2 cases failed: a: ") as caught:
        prediction.predict(run[0].parent, [bad, good], tmp_path / "out", folds=[0], mirror=False, device="cpu")
    assert caught.value.written == [tmp_path / "out/c0.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["c0.nii.gz"]


def test_what_is_there_can_be_kept(run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path) -> None:
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    (tmp_path / "c0.nii.gz").write_bytes(b"kept")
    said: list[str] = []
    prediction.predict(run[0].parent, image, tmp_path, folds=[0], device="cpu", overwrite=False, say=said.append)
    assert said[0].startswith(("fp32", "bf16"))
    assert (tmp_path / "c0.nii.gz").read_bytes() == b"kept"


def test_the_stock_predictor_loads_our_checkpoint(
    run: tuple[Path, list[EpochReport]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_extTrainer", str(door.folder()))
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nnU-Net imports all of its own trainers on the way
        try:
            predictor.initialize_from_trained_model_folder(str(run[0].parent), (0,))
        except RuntimeError as error:
            if "torchvision" not in str(error):
                raise
            pytest.skip("torchvision does not import here, so nnU-Net's own search of trainers cannot")
    assert type(predictor.network) is UMambaBot
    assert predictor.allowed_mirroring_axes == (0, 1, 2)


def test_regions_and_ignore_label(workplace: Path, tmp_path: Path) -> None:
    reports: list[EpochReport] = []
    fold = train(REGIONS, options(epochs=1, iterations=1), reports.append)
    assert len(reports[0].dice) == 2
    assert np.isfinite(reports[0].train_loss)
    image = workplace / "raw/Dataset902_Blobs/imagesTr/c0_0000.nii.gz"
    files = prediction.predict(fold.parent, image, tmp_path, mirror=False, device="cpu")
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))))) <= {0, 1, 2}


def test_divergence_ends_the_run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(output: list[torch.Tensor], target: Any) -> torch.Tensor:
        return output[0].sum() * float("nan")

    monkeypatch.setattr(nnUNetTrainer, "_build_loss", lambda self: poisoned)
    with (
        pytest.warns(UserWarning, match="without a finite gradient was left out"),
        pytest.raises(MedMambaError, match="umamba-bot diverged: no finite gradient in 5 steps"),
    ):
        train(PLAIN, options(iterations=10, fold=2))


def test_options_that_cannot_be(workplace: Path) -> None:
    with pytest.raises(ConfigError, match="no nnU-Net trainer for network 'mambamorph'"):
        train(PLAIN, options(network="mambamorph"))
    with pytest.raises(ConfigError, match="segmamba works on volumes"):
        train(PLAIN, options(network="segmamba", configuration="2d"))
    with pytest.raises(ConfigError, match="Fold -1"):
        train(PLAIN, options(fold=-1))
    with pytest.raises(DataError, match="Configuration 2d of Dataset901_Blobs is not preprocessed"):
        train(PLAIN, options(configuration="2d", patch_size=None))


def test_too_few_cases_for_five_folds(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba.nnunet.training._FOLDS", 6)
    (workplace / "preprocessed" / "Dataset901_Blobs" / "splits_final.json").unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"has 5 training cases, too few for 6 folds.*--fold all"):
        train(PLAIN, options())


def test_models_and_checkpoints_that_are_not_there(run: tuple[Path, list[EpochReport]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no model folder"):
        prediction.predict(tmp_path / "none", tmp_path, tmp_path)
    with pytest.raises(DataError, match=r"has no other\.pth in any fold"):
        prediction.predict(run[0].parent, tmp_path, tmp_path, checkpoint="other.pth")
    with pytest.raises(DataError, match="No image to predict"):
        prediction.predict(run[0].parent, tmp_path, tmp_path / "out", folds=[0], device="cpu")


def test_channels_of_a_case_are_put_together(tmp_path: Path) -> None:
    for name in ("a_0001.nii.gz", "a_0000.nii.gz", "b.nii.gz", "note.txt"):
        (tmp_path / name).touch()
    cases = prediction.group(tmp_path, ".nii.gz", 2)
    assert {case: [file.name for file in files] for case, files in cases.items()} == {
        "a": ["a_0000.nii.gz", "a_0001.nii.gz"],
        "b": ["b.nii.gz"],
    }
