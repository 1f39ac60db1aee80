"""The planner on nnU-Net's plans for volumes as large as brain scans, with no data at all."""

import math
from copy import deepcopy
from typing import Any

import pytest
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medmamba.errors import ConfigError
from medmamba.networks import info, names
from medmamba.networks.footprint import Footprint
from medmamba.nnunet import plans as network_plans
from medmamba.nnunet.planning import footprint, planner
from medmamba.nnunet.planning.footprint import GIB

Plans = dict[str, Any]
DATASET = {
    "channel_names": {"0": "MRI"}, "labels": {"background": 0, "a": 1, "b": 2}, "numTraining": 200,
    "file_ending": ".nii.gz",
}  # fmt: skip
MEDIAN = [140.0, 170.0, 136.0]


@pytest.fixture
def brain(stock_plans: Plans) -> Plans:
    """nnU-Net's plans with large images, 3d_fullres alone."""
    configuration = stock_plans["configurations"]["3d_fullres"]
    configuration |= {"median_image_size_in_voxels": MEDIAN, "patch_size": [128, 128, 128]}
    configuration["architecture"]["arch_kwargs"]["features_per_stage"] = [32, 64, 128, 256]
    return {**stock_plans, "configurations": {"3d_fullres": configuration}}


@pytest.fixture
def simple(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of memory and work that takes no time: 2 kB and 400 000 operations a voxel, beside 400 MB."""

    def estimate(plans: Plans, configuration: str, *_: Any, **__: Any) -> Footprint:
        whole = network_plans.resolve(plans, configuration)
        voxels = math.prod(whole["patch_size"]) * whole["batch_size"]
        return Footprint(10**6, 2 * 10**8, 2 * 10**8, 2000 * voxels, 0, 0, 400_000 * voxels)

    monkeypatch.setattr(footprint, "estimate", estimate)


def sizes(plans: Plans) -> tuple[tuple[int, ...], int]:
    whole = network_plans.resolve(plans, "3d_fullres")
    return tuple(whole["patch_size"]), whole["batch_size"]


@pytest.mark.parametrize(("network", "vram"), [("umamba-bot", 8), ("segmamba", 24)])
def test_the_step_fits_and_fills_the_memory(brain: Plans, network: str, vram: float) -> None:
    planned = planner.plan(brain, DATASET, network, limits=planner.budget(vram))
    step = footprint.estimate(planned, "3d_fullres", DATASET, device_type="cuda")
    assert 0.8 * vram < step.total / GIB <= vram
    patch, batch = sizes(planned)
    assert batch == 2
    assert all(size % 16 == 0 for size in patch)
    assert planned["medmamba"]["expected"]["3d_fullres"]["fits"]


def test_more_memory_never_gives_a_smaller_patch(brain: Plans, simple: None) -> None:
    voxels = []
    for vram in (2, 4, 8, 12):
        (a, b, c), _ = sizes(planner.plan(brain, DATASET, "segmamba", limits=planner.budget(vram)))
        voxels.append(a * b * c)
    assert voxels == sorted(voxels)
    assert voxels[0] < voxels[-1]


def test_the_batch_grows_where_the_patch_cannot(stock_plans: Plans, simple: None) -> None:
    stock_plans["configurations"] = {"3d_fullres": stock_plans["configurations"]["3d_fullres"]}
    planned = planner.plan(stock_plans, DATASET, "umamba-bot", "default", planner.budget(24))
    patch, batch = sizes(planned)
    assert patch == (40, 56, 40)
    # a twentieth of the voxels of 200 images of 35x50x35
    assert batch == round(0.05 * 200 * 35 * 50 * 35 / (40 * 56 * 40))


def test_slices_come_from_whole_volumes(stock_plans: Plans, simple: None) -> None:
    planned = planner.plan(stock_plans, DATASET, "umamba-bot", limits=planner.budget(24))
    whole = network_plans.resolve(planned, "2d")
    assert whole["patch_size"] == [40, 56]
    assert whole["batch_size"] == 128  # a twentieth of the dataset would be 273 slices


def test_topology_follows_the_patch(brain: Plans, simple: None) -> None:
    planned = planner.plan(brain, DATASET, "umamba-enc", limits=planner.budget(6))
    whole = network_plans.resolve(planned, "3d_fullres")
    arguments = whole["architecture"]["arch_kwargs"]
    assert arguments["features_per_stage"] == [32, 64, 128, 256, 320, 320][: len(arguments["strides"])]
    assert arguments["input_size"] == whole["patch_size"]
    assert len(arguments["strides"]) == len(arguments["kernel_sizes"]) >= 5


def test_thick_slices_keep_their_own_pooling(anisotropic_plans: Plans, simple: None) -> None:
    anisotropic_plans["configurations"]["3d_fullres"]["median_image_size_in_voxels"] = [20.0, 256.0, 256.0]
    planned = planner.plan(anisotropic_plans, DATASET, "umamba-bot", limits=planner.budget(8))
    (thick, *plane), _ = sizes(planned)
    assert thick <= 24
    assert min(plane) >= 128


def test_a_published_setting_stays_whatever_it_needs(brain: Plans, simple: None) -> None:
    planned = planner.plan(brain, DATASET, "segmamba", "paper", planner.budget(4))
    assert sizes(planned) == ((128, 128, 128), 2)
    assert not planned["medmamba"]["expected"]["3d_fullres"]["fits"]


def test_a_presets_batch_shrinks_before_its_patch(brain: Plans, simple: None) -> None:
    patch, batch = sizes(planner.plan(brain, DATASET, "vivim", limits=planner.budget(2)))
    assert patch == (5, 192, 160)
    assert 1 <= batch < 8


def test_a_step_on_a_cpu_ends_in_reasonable_time(brain: Plans, simple: None) -> None:
    limits = planner.Budget(64.0, "cpu", "much memory", operations=1e12)
    planned = planner.plan(brain, DATASET, "segmamba", limits=limits)
    assert 0.3e12 < planned["medmamba"]["expected"]["3d_fullres"]["operations"] <= 1e12


def test_what_does_not_fit_at_all_is_refused(brain: Plans) -> None:
    with pytest.raises(ConfigError, match=r"segmamba-v2 does not fit into 1 GB: 3d_fullres with patch 32x32x32"):
        planner.plan(brain, DATASET, "segmamba-v2", limits=planner.budget(1))
    with pytest.raises(ConfigError, match="--vram 0"):
        planner.budget(0)


def test_whole_images_are_registered_and_nnunet_reads_the_plan(brain: Plans, simple: None) -> None:
    pair = {**DATASET, "channel_names": {"0": "MR", "1": "CT"}}
    planned = planner.plan(brain, pair, "mambamorph", limits=planner.budget(48))
    assert sizes(planned) == ((144, 176, 144), 1)
    manager = PlansManager(planned).get_configuration("3d_fullres")
    assert manager.network_arch_class_name == info("mambamorph").class_path
    small, _ = sizes(planner.plan(brain, pair, "mambamorph", limits=planner.budget(4)))
    assert all(size % 16 == 0 for size in small)
    assert small != (144, 176, 144)


def test_a_registration_step_takes_both_images(brain: Plans) -> None:
    pair = {**DATASET, "channel_names": {"0": "MR", "1": "CT"}}
    adapted = network_plans.adapt(brain, "mambamorph", "small")
    network, shapes = footprint.build(adapted, "3d_fullres", pair)
    assert shapes == [(1, 1, 144, 176, 144)] * 2
    step = footprint.estimate(adapted, "3d_fullres", pair)
    assert step.parameters == sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_data_and_stock_plans_stay_as_they_are(brain: Plans, simple: None) -> None:
    before = deepcopy(brain)
    planned = planner.plan(brain, DATASET, "lightm-unet", limits=planner.budget(12))
    assert brain == before
    kept = ("data_identifier", "spacing", "median_image_size_in_voxels")
    assert all(
        planned["configurations"]["3d_fullres"][key] == before["configurations"]["3d_fullres"][key] for key in kept
    )


def test_the_stamp_says_what_was_planned_for(brain: Plans, simple: None) -> None:
    stamp = planner.plan(brain, DATASET, "segmamba", limits=planner.budget(24))["medmamba"]
    assert (stamp["network"], stamp["preset"]) == ("segmamba", "default")
    assert (stamp["budget"]["gigabytes"], stamp["budget"]["device"]) == (24.0, "cuda")


@pytest.mark.parametrize("network", names())
def test_nnunets_api_takes_a_planner_class(network: str) -> None:
    cls = planner.planner_for(network, "small")
    assert (cls.network, cls.preset) == (network, "small")
    assert cls.__name__.endswith("SmallPlanner")
