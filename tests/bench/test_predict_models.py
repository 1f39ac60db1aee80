"""Made models are what nnU-Net's own trainer would have left: its predictor loads them."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from medmamba.bench.predict_models import CONFIGURATION, PLAIN, ModelShape, made_plans, make_model
from medmamba.nnunet import checkpoints

TINY = ModelShape(("CT",), 5, (32, 32, 16), (1.5, 1.5, 1.5), features=4)


@pytest.mark.parametrize("network", [PLAIN, "segmamba", "umamba-enc", "umamba-bot"])
def test_stock_nnunet_loads_and_runs_it(network: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path, replace(TINY, network=network, patch=(32, 32, 32)))
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, use_mirroring=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor.initialize_from_trained_model_folder(str(folder), (0,))
    patch = predictor.configuration_manager.patch_size
    with torch.inference_mode():
        assert predictor.network(torch.zeros(1, 1, *patch)).shape == (1, 5, *patch)
    assert predictor.allowed_mirroring_axes == (0, 1, 2)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    def first(place: str, seed: int) -> torch.Tensor:
        folder = make_model(tmp_path / place, TINY, seed)
        return next(iter(checkpoints.read(folder / "fold_0" / checkpoints.FINAL)["network_weights"].values()))

    one, same, other = first("a", 0), first("b", 0), first("c", 1)
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize(
    ("patch", "strides"),
    [
        ((128, 128, 128), [[1] * 3, *[[2] * 3] * 5]),
        ((40, 56, 40), [[1] * 3, *[[2] * 3] * 3]),
        ((32, 32, 8), [[1] * 3, [2] * 3, [2, 2, 1], [2, 2, 1]]),
    ],
)
def test_the_topology_is_that_of_nnunets_planner(patch: tuple[int, int, int], strides: list[list[int]]) -> None:
    plans = made_plans(replace(TINY, patch=patch, features=32))
    arguments = plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]
    assert arguments["strides"] == strides
    assert arguments["features_per_stage"] == [32, 64, 128, 256, 320, 320][: len(strides)]
