"""Whole networks: the same outputs, and the original as it was."""

import copy
import subprocess
import sys

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from medmamba.engine import Accelerated, accelerate, best_dtype, describe
from medmamba.errors import ConfigError
from medmamba.networks import create
from tests.engine.conftest import lively, relative
from tests.networks.small import SMALL, build, example


def stock(kind, dims, channels=1, bottleneck=False):
    """nnU-Net's own networks, small."""
    conv, norm = (nn.Conv2d, nn.InstanceNorm2d) if dims == 2 else (nn.Conv3d, nn.InstanceNorm3d)
    strides = [[1] * dims, [2] * dims, [1, *[2] * (dims - 1)]]
    kernels = [[1, *[3] * (dims - 1)], [3] * dims, [3] * dims]
    torch.manual_seed(0)
    network = kind(
        channels, 3, [8, 16, 24], conv, kernels, strides, 2, 4, 1,
        conv_bias=True, norm_op=norm, norm_op_kwargs={"eps": 1e-5, "affine": True},
        dropout_op=nn.Dropout3d if dims == 3 else nn.Dropout2d, dropout_op_kwargs={"p": 0.5},
        nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True},
    )  # fmt: skip
    return lively(network)


def stock_example(dims, channels=1, batch=1):
    return torch.randn(batch, channels, *((12, 20, 8) if dims == 3 else (20, 28)))


def outputs(network, *inputs):
    with torch.no_grad():
        out = network(*inputs)
    return out if isinstance(out, tuple) else (out,)


def assert_same(network, *inputs, tolerance=1e-4):
    before, kept = copy.deepcopy(network.state_dict()), [x.clone() for x in inputs]
    expected = outputs(network, *inputs)
    fast = accelerate(network, torch.float32)
    for ours, theirs in zip(outputs(fast, *inputs), expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype is torch.float32 and ours.is_contiguous()
        assert relative(ours, theirs) < tolerance
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))
    after = network.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[k], before[k]) for k in before)
    for ours, theirs in zip(outputs(network, *inputs), expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("mixer", ["mamba", "conv", "identity"])
def test_same_output(name, mixer):
    assert_same(lively(build(name, mixer=mixer)), example(name))


@pytest.mark.parametrize("name", SMALL)
def test_same_output_for_a_batch_of_two_and_one_channel(name):
    x = example(name, channels=1)
    assert_same(lively(build(name, channels=1)), torch.cat([x, torch.randn_like(x)]))


@pytest.mark.parametrize("name", SMALL)
def test_same_output_without_the_library(name, no_library):
    assert_same(lively(build(name)), example(name))


@pytest.mark.parametrize("name", ["umamba-bot", "umamba-enc", "lightm-unet"])
def test_two_dimensions(name):
    options = {"input_size": None} if name == "umamba-enc" else {}
    network = lively(create(name, input_channels=2, num_classes=3, spatial_dims=2, **{**SMALL[name], **options}))
    assert_same(network, torch.randn(2, 2, 24, 16))


def test_sizes_that_are_no_power_of_two():
    assert_same(lively(build("umamba-bot")), torch.randn(1, 2, 12, 20, 28))
    assert_same(lively(build("vivim")), torch.randn(1, 2, 3, 33, 47))


@pytest.mark.parametrize("kind", [PlainConvUNet, ResidualEncoderUNet])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_stock_networks(kind, dims, channels):
    assert_same(stock(kind, dims, channels), stock_example(dims, channels, batch=2))


@pytest.mark.parametrize("kind", [PlainConvUNet, ResidualEncoderUNet])
def test_stock_networks_without_the_library(kind, no_library):
    assert_same(stock(kind, 3), stock_example(3))


def test_deep_supervision_gives_the_same_list():
    network = lively(build("umamba-bot", deep_supervision=True))
    x = example("umamba-bot")
    ours, theirs = accelerate(network, torch.float32)(x), network(x)
    assert len(ours) == len(theirs) == 2
    assert all(relative(a, b) < 1e-4 for a, b in zip(ours, theirs, strict=True))


def morph(**options):
    network = lively(create("mambamorph", input_channels=1, embed_dim=24, stages=2, **options))
    nn.init.normal_(network.reg_head[0].weight, std=1e-2)
    return network


@pytest.mark.parametrize("options", [{}, {"feature_extractor": False, "conv_skip": False}])
def test_registration(options):
    assert_same(morph(**options), torch.rand(1, 1, 16, 16, 24), torch.rand(1, 1, 16, 16, 24))


def autocast(network, *inputs):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return [x.float() for x in outputs(network, *inputs)]


@pytest.mark.parametrize("name", [*SMALL, "plain", "residual"])
def test_bfloat16_is_as_exact_as_autocast(name):
    kinds = {"plain": PlainConvUNet, "residual": ResidualEncoderUNet}
    network = stock(kinds[name], 3) if name in kinds else lively(build(name))
    x = stock_example(3) if name in kinds else example(name)
    (expected,), (usual,) = outputs(network, x), autocast(network, x)
    (ours,) = outputs(accelerate(network, torch.bfloat16), x)
    assert ours.dtype is torch.float32 and ours.isfinite().all()
    assert relative(ours, expected) < 1.3 * relative(usual, expected) + 1e-3
    agreement, usually = ((y.argmax(1) == expected.argmax(1)).float().mean() for y in (ours, usual))
    assert agreement > min(0.99, float(usually) - 0.02)


def test_bfloat16_registers_as_exactly_as_autocast():
    network, pair = morph(), (torch.rand(1, 1, 16, 16, 24), torch.rand(1, 1, 16, 16, 24))
    expected, usual = outputs(network, *pair), autocast(network, *pair)
    ours = outputs(accelerate(network, torch.bfloat16), *pair)
    for a, b, c in zip(ours, usual, expected, strict=True):
        assert a.isfinite().all() and relative(a, c) < 1.3 * relative(b, c) + 1e-3


def test_auto_goes_by_the_flag(monkeypatch):
    from medmamba import runtime

    for flags, dtype in ((("avx2", "amx_bf16"), torch.bfloat16), (("avx512_bf16",), torch.float32)):
        monkeypatch.setattr(runtime, "cpu_flags", lambda flags=flags: flags)
        assert best_dtype() is dtype
        assert accelerate(build("umamba-bot")).dtype is dtype


def test_describe():
    network = build("umamba-bot")
    assert "plain torch" in describe(network)
    text = describe(accelerate(network, torch.bfloat16))
    assert "UMambaBot" in text and "bf16" in text and "kernels" in text


def test_inference_only():
    fast = accelerate(build("umamba-bot"))
    assert isinstance(fast, Accelerated) and not fast.eval().training
    assert not any(module.training for module in fast.modules())
    assert not fast(example("umamba-bot")).requires_grad
    with pytest.raises(ConfigError, match="cannot train"):
        fast.train()


def test_a_forward_on_the_instance_is_not_taken_along():
    network = lively(build("umamba-bot"))
    x = example("umamba-bot")
    expected = network(x).detach()
    network.forward = lambda x: pytest.fail("the original ran")
    assert relative(accelerate(network, torch.float32)(x), expected) < 1e-4


def test_compiled_and_autocast_around():
    network = lively(build("umamba-bot"))
    x = example("umamba-bot")
    expected = network(x).detach()
    compiled = torch.compile(network, backend="eager")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert relative(accelerate(compiled, torch.float32)(x), expected) < 1e-4


def test_refuses_what_it_cannot_do():
    network = build("umamba-bot")
    with pytest.raises(ConfigError, match="float16"):
        accelerate(network, torch.float16)
    with pytest.raises(ConfigError, match="meta"):
        accelerate(network.to("meta"))


def test_the_engine_does_not_wake_torchs_compiler() -> None:
    script = (
        "import sys, torch\n"
        "from medmamba.engine import accelerate\n"
        "from medmamba.networks import create\n"
        "network = create('umamba-bot', input_channels=1, num_classes=2, features_per_stage=(8, 16)).eval()\n"
        "accelerate(network, torch.float32)(torch.randn(1, 1, 16, 16, 16))\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
