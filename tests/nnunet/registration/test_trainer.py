"""Registration trained by nnU-Net's rules: a run of seconds, what it leaves, and what is made of it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from medmamba.cli import app
from medmamba.errors import ConfigError, DataError
from medmamba.files import read_json, write_json
from medmamba.nnunet import checkpoints, host, trainers
from medmamba.nnunet.folds.validation import validate
from medmamba.nnunet.loop.trainer import MedMambaTrainer
from medmamba.nnunet.registration.trainer import RegistrationTrainer
from medmamba.nnunet.training import make_trainer, train
from medmamba.nnunet.watching.history import HistoryFile, read_history
from medmamba.predict.loading import load
from medmamba.register import Options, register
from medmamba.register.trained import load_model
from tests.nnunet.small_runs import PLAIN, Reports, options

DATASET = "Dataset901_Blobs"


def given(**changes: Any) -> Any:
    return options(**{"network": "mambamorph", **changes})


@pytest.fixture(scope="module")
def fold(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of two steps, then validation."""
    with host.variables(nnUNet_results=str(tmp_path_factory.mktemp("registered"))):
        return train(PLAIN, given(validation=True), [HistoryFile()])


def test_history_tells_of_registration(fold: Path) -> None:
    rows = read_history(fold / "history.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2]
    figures = rows[-1]["figures"]
    assert {"folding_percent", "mean_displacement", "largest_displacement", "dice_before", "dice"} <= set(figures)
    assert set(rows[-1]["dice"]) == {"shell", "core"} and rows[-1]["mean_dice"] == figures["dice"]
    assert figures["mean_displacement"] > 0
    assert "Dice" not in figures and rows[0]["run"]["recipe"]["registration"]["losses"]["dice"] == 1


def test_plans_say_how_the_network_is_used(fold: Path) -> None:
    plans = read_json(fold.parent / "plans.json")
    assert plans["configurations"]["3d_fullres"]["patch_size"] == [16, 16, 16]
    use = load_model(fold.parent).use
    assert (use.spacing, use.size, use.modalities) == ((1, 1, 1), (16, 16, 16), ("mri", "mri"))
    assert use.features and dict(use.labels) == {"shell": 1, "core": 2}


def test_validation_scores_pairs_before_and_after(fold: Path) -> None:
    summary = read_json(fold / "validation/summary.json")
    (row,) = summary["metric_per_case"]
    assert " <- " in row["pair"] and set(row["metrics"]) == {"1", "2"}
    assert 0 < summary["registration"]["dice_before"] <= 1
    assert np.isclose(summary["foreground_mean"]["Dice"], np.mean(row["after"]))
    assert {"similarity", "similarity_before", "folding_percent", "sdlogj"} <= set(summary["registration"])
    found = validate(fold, device="cpu")
    assert found is not None and found.cases == 1
    assert found.dice == {"shell": row["after"][0], "core": row["after"][1]}


def test_the_trained_network_registers_from_a_bundle(fold: Path, workplace: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "morph.tar"
    told = CliRunner().invoke(app, ["bundle", "export", "--model", str(fold.parent), "--out", str(bundle)])
    assert told.exit_code == 0, told.output
    images = workplace / "raw" / DATASET / "imagesTr"
    how = Options(model=str(bundle), affine="none", deform="net")
    found = register(images / "c0_0000.nii.gz", images / "c1_0000.nii.gz", tmp_path / "result", how)
    assert found.exit_code in (0, 3)  # two steps of training need not be of use
    assert (tmp_path / "result/transform.h5").is_file()
    assert load_model(bundle).digest in (tmp_path / "result/report.json").read_text()


def test_a_run_resumed_is_the_run_undisturbed(
    fold: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    first = train(PLAIN, given(epochs=1))
    (first / checkpoints.FINAL).rename(first / checkpoints.LATEST)
    reports = Reports()
    again = train(PLAIN, given(resume=True), [reports])
    assert [report.epoch for report in reports.epochs] == [2]
    wanted, found = (checkpoints.read(one / checkpoints.FINAL)["network_weights"] for one in (fold, again))
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)


def test_stock_plans_do_as_well(workplace: Path) -> None:
    place = workplace / "preprocessed" / DATASET
    plans = {**read_json(place / "nnUNetPlans.json"), "continue_training": False}
    made = trainers.nnUNetTrainerMambaMorph(
        plans, "3d_fullres", 0, read_json(place / "dataset.json"), torch.device("cpu")
    )
    assert made.recipe.learning_rate == 1e-4 and made.registration.losses.smooth == 0.1
    assert made.configuration_manager.patch_size == [16, 32, 32]


def test_it_does_not_segment(fold: Path) -> None:
    with pytest.raises(ConfigError, match="registers images"):
        load(fold.parent)


def test_without_labels_images_are_aligned_and_the_user_is_told(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = workplace / "preprocessed" / DATASET
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    content = read_json(place / "dataset.json")
    write_json(place / "dataset.json", {**content, "registration": {"ignore_labels": [1, 2]}})
    try:
        reports = Reports()
        train(PLAIN, given(epochs=1, iterations=1), [reports])
    finally:
        write_json(place / "dataset.json", content)
    assert any("no labels to train with" in message for message in reports.messages)
    figures = reports.epochs[0].figures
    assert "dice" not in figures and "loss_lncc" in figures
    assert figures["similarity"] == pytest.approx(-figures["loss_lncc"])
    assert math.isnan(reports.epochs[0].mean_dice) and reports.epochs[0].dice == ()


def test_a_network_that_stays_the_identity_is_told_of(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    still = make_trainer(DATASET, given(epochs=3, iterations=1), torch.device("cpu"))
    assert isinstance(still, RegistrationTrainer)
    still.use_recipe(still.recipe.changed(learning_rate=1e-12))
    reports = Reports()
    still.watchers = [reports]
    still.run_training()
    assert sum("still moves nothing" in message for message in reports.messages) == 1


def test_a_table_that_cannot_be_is_refused(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = workplace / "preprocessed" / DATASET
    plans = {**read_json(place / "nnUNetPlans.json"), "continue_training": False}
    dataset = {**read_json(place / "dataset.json"), "registration": {"pairing": "every"}}
    with pytest.raises(DataError, match="pairing 'every'"):
        trainers.nnUNetTrainerMambaMorph(plans, "3d_fullres", 0, dataset, torch.device("cpu"))


def test_it_is_one_of_our_trainers() -> None:
    assert issubclass(trainers.for_network("mambamorph"), MedMambaTrainer)
