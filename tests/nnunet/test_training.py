"""One small run, and what can go wrong around it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medmamba.engine import precision
from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.files import read_json
from medmamba.nnunet import checkpoints
from medmamba.nnunet.loop.reports import EpochReport
from medmamba.nnunet.training import make_trainer, train
from medmamba.predict.predictor import Predictor
from tests.nnunet.small_runs import PLAIN, REGIONS, Reports, options


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
    again, more = Reports(), Reports()
    train(PLAIN, options(fold="all"), [again])
    train(PLAIN, options(fold="all"), [more])
    assert [report.train_loss for report in again.epochs] == [report.train_loss for report in more.epochs]


def test_the_plans_beside_the_checkpoint_carry_the_network(run: tuple[Path, list[EpochReport]]) -> None:
    configuration = read_json(run[0].parent / "plans.json")["configurations"]["3d_fullres"]
    assert configuration["architecture"]["network_class_name"] == "medmamba.networks.umamba.UMambaBot"
    assert configuration["patch_size"] == [16, 16, 16]


def test_resuming_adds_epochs(run: tuple[Path, list[EpochReport]]) -> None:
    reports = Reports()
    fold = train(PLAIN, options(epochs=3, resume=True), [reports])
    assert [report.epoch for report in reports.epochs] == [3]
    content = checkpoints.read(fold / checkpoints.FINAL)
    assert content["current_epoch"] == 3
    assert len(content["logging"]["train_losses"]) == 3


def test_resuming_a_finished_run_does_nothing(run: tuple[Path, list[EpochReport]]) -> None:
    before = (run[0] / checkpoints.FINAL).stat().st_mtime_ns
    train(PLAIN, options(epochs=1, resume=True))
    assert (run[0] / checkpoints.FINAL).stat().st_mtime_ns == before


def test_a_run_that_died_before_its_final_checkpoint(workplace: Path) -> None:
    """All epochs are done, but only the best checkpoint says so; the final one is missing or of an earlier run."""
    fold = train(PLAIN, options(fold=4, epochs=2))
    (fold / checkpoints.FINAL).replace(fold / checkpoints.BEST)
    train(PLAIN, options(fold=4, epochs=2, resume=True))
    content = checkpoints.read(fold / checkpoints.FINAL)
    assert checkpoints.reached(content) == (2, 0)
    checkpoints.write(fold / checkpoints.FINAL, {**content, "current_epoch": 1})
    train(PLAIN, options(fold=4, epochs=2, resume=True))
    assert checkpoints.reached(checkpoints.read(fold / checkpoints.FINAL)) == (2, 0)


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_a_resumed_run_keeps_its_number_format(workplace: Path, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """Whatever this machine would choose for a new one."""
    train(PLAIN, options(fold=4, epochs=1, precision=asked))
    other = {"fp32": torch.bfloat16, "bf16": None}[asked]
    original = precision.choose

    def choose(requested: str, *more: Any) -> precision.Precision:
        return precision.Precision(other, "faster") if requested == "auto" else original(requested, *more)

    monkeypatch.setattr(precision, "choose", choose)
    told = Reports()
    train(PLAIN, options(fold=4, epochs=2, precision="auto", resume=True), [told])
    assert [report.precision[:4] for report in told.epochs] == [asked]


def test_float16_after_another_format_has_its_loss_scaler(workplace: Path) -> None:
    trainer = make_trainer(f"Dataset{PLAIN}_Blobs", options(precision="fp32"), torch.device("cpu"))
    trainer.initialize()
    assert trainer.grad_scaler is None
    trainer.use_precision(precision.Precision(torch.float16, "kept"))
    assert trainer.grad_scaler is not None


def test_regions_and_ignore_label(workplace: Path, tmp_path: Path) -> None:
    reports = Reports()
    fold = train(REGIONS, options(epochs=1, iterations=1), [reports])
    assert len(reports.epochs[0].dice) == 2
    assert np.isfinite(reports.epochs[0].train_loss)
    image = workplace / "raw/Dataset902_Blobs/imagesTr/c0_0000.nii.gz"
    files = Predictor(fold.parent, mirror=False, device="cpu").segment(image, tmp_path)
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))))) <= {0, 1, 2}


def test_options_that_cannot_be(workplace: Path) -> None:
    with pytest.raises(ConfigError, match="no nnU-Net trainer for network 'unet'"):
        train(PLAIN, options(network="unet"))
    with pytest.raises(ConfigError, match="segmamba works on volumes"):
        train(PLAIN, options(network="segmamba", configuration="2d"))
    with pytest.raises(ConfigError, match="Fold -1"):
        train(PLAIN, options(fold=-1))
    with pytest.raises(DataError, match="Configuration 2d of Dataset901_Blobs is not preprocessed"):
        train(PLAIN, options(configuration="2d", patch_size=None))


def test_too_few_cases_for_five_folds(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba.nnunet.loop.fold_splits.FOLDS", 6)
    (workplace / "preprocessed" / "Dataset901_Blobs" / "splits_final.json").unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"has 5 training cases, too few for 6 folds.*--fold all"):
        train(PLAIN, options())


def test_a_new_run_puts_an_earlier_one_aside(workplace: Path) -> None:
    short, told = options(fold=3, epochs=1, iterations=1), Reports()
    fold = train(PLAIN, short)
    first = (fold / checkpoints.FINAL).read_bytes()
    train(PLAIN, short, [told])
    assert (fold / checkpoints.PREVIOUS / checkpoints.FINAL).read_bytes() == first
    assert "earlier run" in told.messages[0]


def test_parts_of_a_batch_give_the_gradient_of_the_whole(workplace: Path) -> None:
    losses = []
    for accumulate in (1, 3):
        reports = Reports()
        train(PLAIN, options(fold=4, batch_size=4, accumulate=accumulate, epochs=1), [reports])
        losses.append(reports.epochs[0].train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_recomputed_activations_change_no_bit(run: tuple[Path, list[EpochReport]]) -> None:
    reports = Reports()
    train(PLAIN, options(fold=2, recompute=True, epochs=1), [reports])
    plain = Reports()
    train(PLAIN, options(fold=2, epochs=1), [plain])
    assert reports.epochs[0].train_loss == plain.epochs[0].train_loss


def test_another_seed_than_the_runs_own(workplace: Path) -> None:
    train(PLAIN, options(fold=3, epochs=1, iterations=1))
    with pytest.raises(ConfigError, match="--seed 4 is not the seed of the run to go on with, 3"):
        train(PLAIN, options(fold=3, epochs=2, iterations=1, seed=4, resume=True))


def test_a_full_disk_does_not_end_a_run_before_its_end(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: dict[str, Any]) -> None:
        raise SetupError(f"{path} cannot be written: No space left on device.", "Make room on that disk.")

    monkeypatch.setattr(checkpoints, "write", full)
    told = Reports()
    with pytest.raises(SetupError, match=r"checkpoint_final\.pth cannot be written: No space left"):
        train(PLAIN, options(fold=1, epochs=1, iterations=1), [told])
    assert any("The run goes on" in message for message in told.messages)


def test_results_that_cannot_be_written(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"Dataset{PLAIN}_Blobs").write_text("a file where the folder should be")
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    with pytest.raises(SetupError, match=r"Blobs.* cannot be written"):
        train(PLAIN, options())


def test_what_does_not_fit_is_refused_before_it_begins(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba.runtime.free_memory", lambda device=None: 2**20)
    with pytest.raises(SetupError, match=r"needs about .* GB, and 0\.0 GB are free on cpu.*--recompute"):
        train(PLAIN, options(fold=1))
    monkeypatch.undo()
    monkeypatch.setattr("medmamba.runtime.free_disk", lambda folder: 1)
    with pytest.raises(SetupError, match="Checkpoints need about"):
        train(PLAIN, options(fold=1))
