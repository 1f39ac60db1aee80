import json
from copy import deepcopy
from typing import Any

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medmamba.errors import ConfigError
from medmamba.networks import info
from medmamba.nnunet import plans as network_plans

Plans = dict[str, Any]


def build(plans: Plans, configuration: str, channels: int = 1, deep: bool = False) -> torch.nn.Module:
    """The network as stock nnU-Net builds it from plans."""
    architecture = PlansManager(plans).get_configuration(configuration).configuration["architecture"]
    return get_network_from_plans(*architecture.values(), channels, 3, deep_supervision=deep)


def test_the_given_plans_are_not_changed(stock_plans: Plans) -> None:
    before = deepcopy(stock_plans)
    network_plans.adapt(stock_plans, "segmamba", "small")
    assert stock_plans == before


def test_adapted_plans_can_be_written_as_json(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "umamba-enc", "small")
    assert json.loads(json.dumps(adapted)) == adapted


def test_all_networks_share_the_preprocessed_data(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "segmamba", "small")
    assert network_plans.resolve(adapted, "3d_fullres")["data_identifier"] == "nnUNetPlans_3d_fullres"


def test_the_patch_is_fitted(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "segmamba")
    assert network_plans.resolve(adapted, "3d_fullres")["patch_size"] == [48, 64, 48]


@pytest.mark.parametrize("network", ["umamba-bot", "umamba-enc", "segmamba", "segmamba-v2", "lightm-unet"])
def test_stock_nnunet_builds_and_runs_the_network(anisotropic_plans: Plans, network: str) -> None:
    if network in ("segmamba", "segmamba-v2", "lightm-unet"):
        with pytest.warns(UserWarning, match="anisotropic"):
            adapted = network_plans.adapt(anisotropic_plans, network, "small")
    else:
        adapted = network_plans.adapt(anisotropic_plans, network, "small")
    patch = network_plans.resolve(adapted, "3d_fullres")["patch_size"]
    net = build(adapted, "3d_fullres", deep=True)
    outputs = net(torch.zeros(1, 1, *patch))
    assert outputs[0].shape == (1, 3, *patch)
    assert (len(outputs) > 1) == info(network).deep_supervision


def test_a_cascade_inherits_the_network(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "umamba-bot", "small")
    whole = network_plans.resolve(adapted, "3d_cascade_fullres")
    assert network_plans.carried_network(whole) == "umamba-bot"
    assert whole["previous_stage"] == "3d_lowres"
    assert build(adapted, "3d_cascade_fullres", channels=3)(torch.zeros(1, 3, 40, 56, 40)).shape[1] == 3


@pytest.mark.parametrize("network", ["umamba-bot", "umamba-enc", "lightm-unet"])
def test_2d_configurations(stock_plans: Plans, network: str) -> None:
    adapted = network_plans.adapt(stock_plans, network, "small", "2d")
    assert build(adapted, "2d")(torch.zeros(2, 1, 40, 56)).shape == (2, 3, 40, 56)


def test_2d_is_refused_by_networks_for_volumes(stock_plans: Plans) -> None:
    with pytest.raises(ConfigError, match="segmamba works on volumes and this is a 2-D configuration"):
        network_plans.adapt(stock_plans, "segmamba", configuration="2d")
    assert "2d" not in network_plans.adapt(stock_plans, "segmamba")["configurations"]


@pytest.mark.parametrize("configuration", ["2d", "3d_lowres", "3d_cascade_fullres"])
def test_vivim_takes_3d_fullres_alone(stock_plans: Plans, configuration: str) -> None:
    assert list(network_plans.adapt(stock_plans, "vivim")["configurations"]) == ["3d_fullres"]
    with pytest.raises(ConfigError, match=configuration):
        network_plans.adapt(stock_plans, "vivim", configuration=configuration)


def test_vivim_needs_time_first(stock_plans: Plans) -> None:
    with pytest.raises(ConfigError, match="time on the first array axis"):
        network_plans.adapt({**stock_plans, "transpose_forward": [1, 0, 2]}, "vivim", configuration="3d_fullres")


def test_vivim_patches_are_five_frames_cut_to_the_images(stock_plans: Plans) -> None:
    whole = network_plans.resolve(network_plans.adapt(stock_plans, "vivim"), "3d_fullres")
    assert (whole["batch_size"], whole["patch_size"][0]) == (8, 5)
    assert max(whole["patch_size"]) <= 64


def test_own_plans_are_used_as_they_are(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "segmamba", "small")
    adapted["configurations"]["3d_fullres"]["batch_size"] = 7
    assert network_plans.adapt(adapted, "segmamba") == adapted


def test_plans_of_another_network_are_refused(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "segmamba", "small")
    with pytest.raises(ConfigError, match="carry segmamba, not umamba-bot"):
        network_plans.adapt(adapted, "umamba-bot")


def test_an_unknown_configuration_lists_the_known(stock_plans: Plans) -> None:
    with pytest.raises(ConfigError, match="2d, 3d_lowres"):
        network_plans.adapt(stock_plans, "segmamba", configuration="4d")


def test_with_sizes_fits_the_patch_and_tells_the_network(stock_plans: Plans) -> None:
    adapted = network_plans.adapt(stock_plans, "umamba-enc", "small")
    changed = network_plans.resolve(network_plans.with_sizes(adapted, "3d_fullres", (17, 24, 24), 1), "3d_fullres")
    assert changed["patch_size"] == [24, 24, 24] == changed["architecture"]["arch_kwargs"]["input_size"]
    assert changed["batch_size"] == 1
    with pytest.raises(ConfigError, match="has 2 axes"):
        network_plans.with_sizes(adapted, "3d_fullres", (16, 16), None)
