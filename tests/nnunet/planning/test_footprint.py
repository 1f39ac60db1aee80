from pathlib import Path
from typing import Any

import pytest
import torch

from medmamba import runtime
from medmamba.errors import SetupError
from medmamba.nnunet import plans as network_plans
from medmamba.nnunet.planning import footprint

Plans = dict[str, Any]
DATASET = {
    "channel_names": {"0": "MRI"}, "labels": {"background": 0, "a": 1, "b": 2}, "numTraining": 5,
    "file_ending": ".nii.gz",
}  # fmt: skip
CPU = torch.device("cpu")


def test_nnunets_own_network_and_ours(stock_plans: Plans) -> None:
    stock = footprint.estimate(stock_plans, "3d_fullres", DATASET)
    ours = footprint.estimate(network_plans.adapt(stock_plans, "umamba-enc"), "3d_fullres", DATASET)
    assert stock.parameters < ours.parameters
    assert stock.activations < ours.activations


def test_a_cascade_has_the_labels_as_channels(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "umamba-bot", "small")
    plain, cascade = (footprint.estimate(adapted, name, DATASET) for name in ("3d_fullres", "3d_cascade_fullres"))
    assert cascade.parameters > plain.parameters


def test_regions_have_a_loss_of_their_own(stock_plans: Plans) -> None:
    regions = {**DATASET, "labels": {"background": 0, "whole": [1, 2], "core": [2]}, "regions_class_order": [1, 2]}
    assert footprint.estimate(stock_plans, "3d_fullres", regions).activations > 0


def test_sizes_of_the_command_line_count(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "umamba-bot", "small")
    smaller = network_plans.with_sizes(adapted, "3d_fullres", (16, 16, 16), 1)
    sizes = [footprint.estimate(plans, "3d_fullres", DATASET).activations for plans in (adapted, smaller)]
    assert sizes[1] < 0.1 * sizes[0]


def test_too_little_memory_is_refused_with_remedies(stock_plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    adapted = network_plans.adapt(stock_plans, "umamba-bot", "small")
    assert footprint.require(adapted, "3d_fullres", DATASET, device=CPU).total > 0
    monkeypatch.setattr(runtime, "free_memory", lambda device: 10 << 20)
    with pytest.raises(
        SetupError, match=r"patch 40x56x40, batch 2\) needs about 0\.\d GB, and 0\.0 GB are free on cpu"
    ) as error:
        footprint.require(adapted, "3d_fullres", DATASET, device=CPU)
    assert "--recompute or --batch-size 1 or --precision bf16 or a smaller --patch-size" in (error.value.remedy or "")


def test_an_unknown_amount_of_memory_is_not_refused(stock_plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "free_memory", lambda device: None)
    footprint.require(stock_plans, "3d_fullres", DATASET, device=CPU)


def test_checkpoints_need_a_disk(stock_plans: Plans, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    step = footprint.require(stock_plans, "3d_fullres", DATASET, device=CPU, folder=tmp_path)
    assert footprint.checkpoint_bytes(step) == 3 * (step.weights + step.optimizer)
    monkeypatch.setattr(runtime, "free_disk", lambda folder: 1000)
    with pytest.raises(SetupError, match="Checkpoints need about"):
        footprint.require(stock_plans, "3d_fullres", DATASET, device=CPU, folder=tmp_path)
