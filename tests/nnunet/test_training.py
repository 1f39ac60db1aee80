"""One small run, and what can go wrong around it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from medmamba.errors import ConfigError, DataError, MedMambaError
from medmamba.files import read_json
from medmamba.nnunet import checkpoints, prediction
from medmamba.nnunet.trainer import EpochReport
from medmamba.nnunet.training import train
from tests.nnunet.small_runs import PLAIN, REGIONS, options


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
