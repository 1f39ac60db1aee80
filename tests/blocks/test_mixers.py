"""The Mamba layer against the golden blocks of the scan, SegMamba and Vivim; its twins and the token shuffle."""

import json

import pytest
import torch
from torch import nn

from medmamba.blocks.mixers import MIXERS, IdentityMixer, MambaMixer, make_mixer, set_stochastic_shuffle
from medmamba.errors import ConfigError
from tests.reference_data import REFERENCE, arrays, load_module, needs_reference, tensors

ORDERS = {"none": ("forward",), "bidirectional": ("forward", "reverse"), "tri": ("forward", "reverse", "interslice")}
SUFFIX = {"forward": "", "reverse": "_b", "interslice": "_s"}
TRI = ORDERS["tri"]


def our_name(fixture_name: str) -> str:
    """`forward.conv_weight` of the scan fixtures -> `conv1d.weight` of the layer."""
    if "." not in fixture_name:
        return fixture_name.replace("_weight", ".weight")
    direction, name = fixture_name.split(".")
    suffix = SUFFIX[direction]
    if name == "A_log":
        return f"A{suffix}_log"
    if name == "D":
        return f"D{suffix}"
    module, kind = name.rsplit("_", 1)
    return f"{module.replace('conv', 'conv1d')}{suffix}.{kind}"


@needs_reference
@pytest.mark.parametrize("kind", list(ORDERS))
def test_scan_block_goldens(kind):
    data, meta = tensors(f"scan/golden_block_{kind}.npz")
    layer = MambaMixer(meta["d_model"], directions=ORDERS[kind]).double()
    weights = {our_name(k.removeprefix("param.")): v for k, v in data.items() if k.startswith("param.")}
    weights = {k: v[:, None] if k.startswith("conv1d") and k.endswith("weight") else v for k, v in weights.items()}
    layer.load_state_dict(weights)
    x = data["x"].requires_grad_()
    out = layer(x, meta["nslices"] or None)
    out.backward(data["dout"])
    torch.testing.assert_close(out, data["out"], atol=1e-12, rtol=0)
    torch.testing.assert_close(x.grad, data["grad_x"], atol=1e-12, rtol=0)
    for name, p in layer.named_parameters():
        wanted = next(v for k, v in data.items() if k.startswith("grad.") and our_name(k.removeprefix("grad.")) == name)
        torch.testing.assert_close(p.grad.reshape(wanted.shape), wanted, atol=1e-11, rtol=0)


@needs_reference
@pytest.mark.parametrize(
    ("fixture", "options", "nslices"),
    [
        ("segmamba/{}_block_plain", {}, None),
        ("segmamba/{}_block_v3", {"directions": TRI}, 6),
        ("vivim/{}_block_v3", {"directions": TRI, "combine": "mean"}, 5),
    ],
)
def test_layers_of_the_forks(fixture, options, nslices):
    manifest = json.loads((REFERENCE / f"{fixture.format('manifest')}.json").read_text())
    rule = load_module("weights_rule")
    layer = MambaMixer(manifest["kwargs"]["d_model"], **options).double()
    weights = {k.removeprefix("mamba."): torch.from_numpy(v) for k, v in rule.from_manifest(manifest).items()}
    layer.load_state_dict(weights)
    assert list(weights) == list(layer.state_dict())
    out = layer(torch.from_numpy(rule.standard_input(manifest["input_shape"])).double(), nslices)
    wanted = torch.from_numpy(arrays(f"{fixture.format('golden')}.npz")["output"]).double()
    torch.testing.assert_close(out, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", MIXERS)
def test_every_kind_trains_and_keeps_the_shape(kind):
    layer = make_mixer(kind, 8, directions=TRI)
    x = torch.randn(2, 12, 8, requires_grad=True)
    out = layer(x, 3)
    out.sum().backward()
    assert out.shape == x.shape
    assert x.grad is not None


def test_the_twin_has_no_scan_parameters():
    names = {n.split(".")[0] for n, _ in make_mixer("conv", 8).named_parameters()}
    assert names == {"in_proj", "conv1d", "out_proj"}


def test_an_unknown_kind_is_named():
    with pytest.raises(ConfigError, match="'attention'"):
        make_mixer("attention", 8)


def test_only_scanning_mixes_tokens_far_apart():
    def reaches(kind: str) -> bool:
        torch.manual_seed(0)
        layer = make_mixer(kind, 8)
        x = torch.randn(1, 30, 8)
        changed = x.clone()
        changed[:, 0] += 1
        return bool((layer(x) - layer(changed))[:, -1].abs().max() > 0)

    assert [reaches(k) for k in MIXERS] == [True, False, False]


def test_initial_step_sizes_are_small():
    bias = make_mixer("mamba", 32).dt_proj.bias
    step = torch.nn.functional.softplus(bias)
    assert step.min() > 0.9e-3
    assert step.max() < 0.11


class Recorder(IdentityMixer):
    """Keeps what it is given."""

    def mix(self, x, nslices):
        self.seen = x
        return x


def test_shuffle_permutes_in_training_only_and_is_undone():
    layer = Recorder()
    x = torch.arange(50.0)[None, :, None]
    set_stochastic_shuffle(layer, 1.0)
    assert torch.equal(layer(x), x)
    assert not torch.equal(layer.seen, x)
    assert torch.equal(layer.seen.sort(1).values, x)
    layer.eval()
    layer(x)
    assert torch.equal(layer.seen, x)


def test_shuffle_grows_with_depth():
    network = nn.Sequential(*(IdentityMixer() for _ in range(4)))
    set_stochastic_shuffle(network, 0.5)
    assert [m.shuffle_probability for m in network] == [0.125, 0.25, 0.375, 0.5]


def test_shuffle_probability_is_checked():
    with pytest.raises(ConfigError, match=r"1\.5"):
        set_stochastic_shuffle(nn.Identity(), 1.5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_values_and_gradients_finite(dtype):
    torch.manual_seed(0)
    layer = make_mixer("mamba", 16)
    with torch.no_grad():
        layer.out_proj.weight.mul_(1e5)
    x = torch.randn(1, 64, 16, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        out = layer(x)
        following = torch.nn.functional.linear(out, torch.eye(16))
    following.float().mean().backward()
    assert following.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())
