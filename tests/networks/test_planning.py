import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.networks import create, fit_patch, plan_arguments
from tests.networks.small import SMALL

STRIDES = [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
UNET = {
    "n_stages": 3,
    "features_per_stage": [8, 16, 16],
    "kernel_sizes": [[3, 3, 3]] * 3,
    "strides": STRIDES,
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
}


@pytest.mark.parametrize("name", SMALL)
def test_a_plan_entry_builds_a_network_for_the_fitted_patch(name):
    patch = fit_patch(name, (14, 18, 20), UNET, {})
    config = {k: v for k, v in SMALL[name].items() if k not in ("features_per_stage", "input_size")}
    arguments = plan_arguments(name, patch_size=patch, unet_arguments=UNET, config=config)
    assert "strides" in arguments
    network = create(name, input_channels=1, num_classes=2, **arguments).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, *patch)).shape == (1, 2, *patch)


def test_a_base_width_replaces_the_plans_widths():
    config = {"base_features": 4, "max_features": 10}
    arguments = plan_arguments("umamba-bot", patch_size=(16,) * 3, unet_arguments=UNET, config=config)
    assert arguments["features_per_stage"] == [4, 8, 10]


def test_2d_is_refused_where_there_is_none():
    with pytest.raises(ConfigError, match="segmamba works on 3-D images only"):
        fit_patch("segmamba", (64, 64), UNET)


def test_a_plan_entry_for_registration_builds_the_network():
    config = {"embed_dim": 12, "reg_head_chan": 4, "stages": 2}
    patch = fit_patch("mambamorph", (17, 24, 9), UNET, config)
    assert patch == (24, 24, 16)
    network = create(
        "mambamorph",
        input_channels=1,
        **plan_arguments("mambamorph", patch_size=patch, unet_arguments=UNET, config=config),
    ).eval()
    image = torch.randn(1, 1, *patch)
    with torch.no_grad():
        assert network(image, image)[0].shape == image.shape
