"""The trainers on stock plans, as stock nnU-Net commands use them."""

import inspect
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from medmamba.errors import ConfigError
from medmamba.files import read_json
from medmamba.nnunet import trainers
from medmamba.nnunet.loop.trainer import MedMambaTrainer

CPU = torch.device("cpu")


@pytest.fixture
def stock(workplace: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """nnU-Net's own plans and the dataset.json."""
    place = workplace / "preprocessed/Dataset901_Blobs"
    return {**read_json(place / "nnUNetPlans.json"), "continue_training": False}, read_json(place / "dataset.json")


def make(stock: tuple[dict[str, Any], dict[str, Any]], trainer: type[MedMambaTrainer]) -> MedMambaTrainer:
    return trainer(stock[0], "3d_fullres", 0, stock[1], CPU)


@pytest.mark.parametrize("trainer", trainers.ALL)
def test_the_constructor_has_nnunets_parameter_names(trainer: type[MedMambaTrainer]) -> None:
    assert list(inspect.signature(trainer).parameters) == list(inspect.signature(nnUNetTrainer).parameters)


@pytest.mark.parametrize(
    ("trainer", "kind", "deep"),
    [
        (trainers.nnUNetTrainerUMambaBot, torch.optim.SGD, True),
        (trainers.nnUNetTrainerUMambaEnc, torch.optim.SGD, True),
        (trainers.nnUNetTrainerSegMamba, torch.optim.SGD, False),
        (trainers.nnUNetTrainerSegMambaV2, torch.optim.SGD, False),
        (trainers.nnUNetTrainerLightMUNet, torch.optim.Adam, False),
        (trainers.nnUNetTrainerVivim, torch.optim.Adam, False),
    ],
)
def test_recipe_on_stock_plans(
    stock: tuple[dict[str, Any], dict[str, Any]], trainer: type[MedMambaTrainer], kind: type, deep: bool
) -> None:
    before = deepcopy(stock[0])
    made = make(stock, trainer)
    assert stock[0] == before
    assert made.enable_deep_supervision is deep
    made.network = torch.nn.Linear(2, 2)
    optimizer, schedule = made.configure_optimizers()
    assert type(optimizer) is kind
    schedule.step(0)
    assert optimizer.param_groups[0]["lr"] == made.recipe.learning_rate
    assert (made.num_epochs, made.num_iterations_per_epoch) == (made.recipe.epochs, 250)


def test_the_plans_name_stays_so_that_stock_prediction_finds_the_folder(
    stock: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    made = make(stock, trainers.nnUNetTrainerSegMamba)
    assert Path(made.output_folder_base).name == "nnUNetTrainerSegMamba__nnUNetPlans__3d_fullres"
    assert made.plans_manager.plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"].endswith(
        "SegMamba"
    )


def test_a_configuration_the_network_cannot_take(stock: tuple[dict[str, Any], dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="2-D"):
        trainers.nnUNetTrainerSegMamba(stock[0], "2d", 0, stock[1], CPU)


def test_vivim_leaves_time_alone(stock: tuple[dict[str, Any], dict[str, Any]]) -> None:
    made = make(stock, trainers.nnUNetTrainerVivim)
    _, in_plane, sampled, mirrored = made.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert in_plane
    assert sampled[0] == made.configuration_manager.patch_size[0] == 5
    assert mirrored == made.inference_allowed_mirroring_axes == (1, 2)


def test_validation_does_not_switch_on_what_a_network_does_without(
    stock: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    made = make(stock, trainers.nnUNetTrainerSegMamba)
    made.network = torch.nn.Module()
    made.network.decoder = torch.nn.Module()
    made.set_deep_supervision_enabled(True)
    assert made.network.decoder.deep_supervision is False


def test_by_name() -> None:
    assert trainers.by_name("nnUNetTrainerVivim") is trainers.nnUNetTrainerVivim
    assert trainers.by_name("nnUNetTrainer") is None
