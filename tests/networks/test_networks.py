"""What every network promises: channels, twins, half precision, compilation, clear refusals."""

import subprocess
import sys

import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.networks import create, fit_patch, info, infos, names, plan_arguments

STRIDES = [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
UNET = {
    "n_stages": 3,
    "features_per_stage": [8, 16, 16],
    "kernel_sizes": [[3, 3, 3]] * 3,
    "strides": STRIDES,
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
}
SMALL = {
    "umamba-bot": {"features_per_stage": (4, 8, 8)},
    "umamba-enc": {"features_per_stage": (4, 8, 64), "input_size": (16, 16, 16)},
    "segmamba": {"features": (4, 8, 8, 8), "hidden_size": 8, "depths": (1, 1, 1, 1)},
    "segmamba-v2": {"features": (4, 8, 8, 8), "hidden_size": 8, "depths": (1, 1, 1, 1)},
    "lightm-unet": {"init_filters": 8, "blocks_down": (1, 1, 1), "blocks_up": (1, 1)},
    "vivim": {
        "features": (8, 16, 16, 16), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 2, 2, 2),
        "decoder_hidden_size": 16, "mamba_layers_per_stage": 1,
    },
}  # fmt: skip
SHAPES = {"segmamba": (32, 16, 16), "segmamba-v2": (32, 16, 16), "vivim": (5, 32, 32)}


def build(name, channels=2, classes=3, **options):
    torch.manual_seed(0)
    return create(name, input_channels=channels, num_classes=classes, **SMALL[name], **options)


def example(name, channels=2):
    return torch.randn(1, channels, *SHAPES.get(name, (16, 16, 16)))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("mixer", ["mamba", "conv", "identity"])
def test_every_twin_trains_with_any_channels(name, mixer):
    x = example(name)
    network = build(name, mixer=mixer)
    out = network(x)
    assert out.shape == (1, 3, *x.shape[2:])
    out.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_stays_finite(name, dtype):
    network = build(name)
    with torch.autocast("cpu", dtype=dtype):
        out = network(example(name) * 100)
        loss = out.float().square().mean()
    loss.backward()
    assert out.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SMALL)
def test_full_graph_compile(name):
    network, x = build(name, stochastic_shuffle=0.5).eval(), example(name)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.parametrize("name", ["umamba-enc", "segmamba"])
def test_full_graph_compile_in_training(name):
    network, x = build(name, stochastic_shuffle=0.5).train(), example(name)
    torch.compile(network, fullgraph=True, backend="eager")(x).mean().backward()
    assert all(p.grad is not None for n, p in network.named_parameters() if "seg_layers" not in n)


@pytest.mark.parametrize("name", SMALL)
def test_deep_supervision_switch_of_nnunet(name):
    network, x = build(name, deep_supervision=True), example(name)
    outputs = network(x)
    assert isinstance(outputs, list)
    assert len(outputs) > 1 if info(name).deep_supervision else len(outputs) == 1
    network.decoder.deep_supervision = False
    assert network(x).shape == outputs[0].shape


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


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("umamba-bot", (16, 18, 16), r"divisible by \(4, 4, 4\), got \(16, 18, 16\)"),
        ("umamba-enc", (16, 16, 20), r"takes size \(16, 16, 16\) only"),
        ("segmamba", (40, 32, 32), r"divisible by \(16, 16, 16\), got \(40, 32, 32\)"),
        ("segmamba", (16, 16, 16), "single voxel"),
        ("lightm-unet", (16, 16, 18), r"divisible by \(4, 4, 4\)"),
    ],
)
def test_sizes_that_do_not_fit_are_named(name, shape, message):
    with pytest.raises(ConfigError, match=message):
        build(name)(torch.randn(1, 2, *shape))


def test_2d_is_refused_where_there_is_none():
    with pytest.raises(ConfigError, match="segmamba works on 3-D images only"):
        fit_patch("segmamba", (64, 64), UNET)


@pytest.mark.parametrize("name", ["umamba-bot", "umamba-enc"])
def test_umamba_in_2d(name):
    network = create(name, input_channels=1, num_classes=2, features_per_stage=(4, 8, 8), spatial_dims=2)
    assert network(torch.randn(1, 1, 16, 16)).shape == (1, 2, 16, 16)


def test_channel_tokens_are_a_decision_that_can_be_read_and_refused():
    assert build("umamba-enc").channel_token_stages == (2,)
    free = build("umamba-enc", channel_tokens="never")
    assert free.channel_token_stages == ()
    assert free(torch.randn(1, 2, 20, 16, 16)).shape == (1, 3, 20, 16, 16)


def test_shuffle_changes_training_only():
    network, x = build("segmamba", stochastic_shuffle=1.0), example("segmamba")
    torch.testing.assert_close(network.eval()(x), network.eval()(x))
    assert not torch.allclose(network.train()(x), network.eval()(x))


def test_unknown_names_and_arguments_are_one_sentence():
    with pytest.raises(ConfigError, match=r"no network 'unet'.*umamba-bot"):
        create("unet", input_channels=1, num_classes=2)
    with pytest.raises(ConfigError, match=r"umamba-bot cannot be built.*colour"):
        create("umamba-bot", input_channels=1, num_classes=2, colour="red")


def test_listing_needs_no_torch():
    code = "import sys, medmamba.networks as n; n.infos(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert len(names()) == len(infos()) == 7
