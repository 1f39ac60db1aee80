import json
import re

import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.networks.mambamorph import IGNORED_KEYS, MambaMorph, original_arguments
from tests.reference_data import REFERENCE, golden_cases, needs_reference

_SMALL = {"embed_dim": 6, "reg_head_chan": 4, "d_state": 4}


def _pair(channels=1, size=(16, 16, 32), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, channels, *size, generator=generator, dtype=dtype) for _ in range(2)]


@pytest.mark.parametrize("case", golden_cases("mambamorph"), ids=lambda c: c.name)
def test_golden(case):
    net = MambaMorph(**original_arguments(case.architecture, case.kwargs))
    net.load_state_dict({k: torch.from_numpy(v) for k, v in case.weights().items()})
    with torch.no_grad():
        out = net.double().eval()(*[torch.from_numpy(x).double() for x in case.inputs()])
    assert len(out) == len(case.output_names)
    for name, error in case.errors(out).items():
        assert error <= case.tolerance(name), name


@needs_reference
@pytest.mark.parametrize(("name", "count"), [("full_feat", 7_594_646), ("full_base", 7_305_459)])
def test_full_size_has_the_published_parameters_and_keys(name, count):
    manifest = json.loads((REFERENCE / "mambamorph" / f"manifest_{name}.json").read_text())
    with torch.device("meta"):
        net = MambaMorph(**original_arguments(manifest["network"], manifest["config"]))
    assert sum(p.numel() for p in net.parameters()) == count == manifest["n_parameters"]
    theirs = {e["key"]: tuple(e["shape"]) for e in manifest["state_dict"]}
    theirs = {k: v for k, v in theirs.items() if not any(re.fullmatch(p, k) for p in IGNORED_KEYS)}
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == theirs


@pytest.mark.parametrize("mixer", ["mamba", "conv", "identity"])
def test_every_mixer_learns(mixer):
    net = MambaMorph(**_SMALL, mixer=mixer, stochastic_shuffle=0.5)
    torch.nn.init.normal_(net.reg_head[0].weight, 0, 0.1)
    sum(o.square().mean() for o in net(*_pair())).backward()
    unmoved = [k for k, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert unmoved == []
    if mixer == "mamba":
        assert net.transformer.layers[2].mamba.A_log.grad.abs().max() > 0


@pytest.mark.parametrize("trans", [True, False])
@pytest.mark.parametrize("conv", [True, False])
def test_switched_off_skips_leave_no_trainable_parameter_without_gradient(trans, conv):
    net = MambaMorph(**_SMALL, trans_skip=trans, conv_skip=conv, feature_extractor=False)
    sum(o.square().mean() for o in net(*_pair())).backward()
    assert [k for k, p in net.named_parameters() if p.requires_grad and p.grad is None] == []
    assert "c1.0.weight" in net.state_dict()


def test_an_untrained_network_is_the_identity():
    moving, fixed = _pair()
    moved, _, displacement, _ = MambaMorph(**_SMALL).eval()(moving, fixed)
    assert displacement.abs().max() < 0.01
    assert (moved - moving).abs().max() < 0.01


@pytest.mark.parametrize(
    ("options", "outputs"),
    [({}, 4), ({"feature_extractor": False}, 3), ({"feature_extractor": False, "diffeomorphic": False}, 2)],
)
def test_outputs_of_each_variant(options, outputs):
    assert len(MambaMorph(**_SMALL, **options)(*_pair())) == outputs


def test_features_can_be_left_out():
    assert len(MambaMorph(**_SMALL)(*_pair(), features=False)) == 3


def test_two_channels_and_two_stages():
    moving, fixed = _pair(channels=2, size=(8, 16, 24))
    moved, velocity, *_ = MambaMorph(input_channels=2, stages=2, **_SMALL)(moving, fixed)
    assert moved.shape == moving.shape
    assert velocity.shape == (1, 3, 8, 16, 24)


def test_under_autocast_displacements_stay_float32_and_finite():
    net = MambaMorph(**_SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(*_pair())
    assert all(o.isfinite().all() for o in out)
    assert out[2].dtype == torch.float32
    sum(o.float().square().mean() for o in out).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_compiles_as_one_graph():
    net = MambaMorph(**_SMALL).eval()
    pair = _pair()
    with torch.no_grad():
        compiled = torch.compile(net, fullgraph=True, backend="eager")(*pair)
        assert torch.allclose(compiled[2], net(*pair)[2], atol=1e-6)


def test_a_size_that_does_not_divide_is_named():
    with pytest.raises(ConfigError, match=r"\(16, 16, 24\)"):
        MambaMorph(**_SMALL)(*_pair(size=(16, 16, 24)))


def test_images_of_different_shape_are_named():
    with pytest.raises(ConfigError, match="differ"):
        MambaMorph(**_SMALL)(_pair()[0], _pair(size=(32, 16, 32))[1])


def test_original_arguments_are_renamed():
    ours = original_arguments("MambaMorph", {"in_chans": 4, "depths": [1, 1], "out_indices": [0, 1], "spe": False})
    assert ours["input_channels"] == 2
    assert ours["stages"] == 2
    assert ours["position_code"] is False
    assert ours["feature_extractor"] is False


@pytest.mark.parametrize(
    "kwargs", [{"nonsense": 1}, {"patch_size": 2}, {"ape": True}, {"in_chans": 3}, {"out_indices": [0, 1]}]
)
def test_original_arguments_that_cannot_be_met_are_named(kwargs):
    with pytest.raises(ConfigError, match=next(iter(kwargs))):
        original_arguments("MambaMorph", kwargs)


def test_symmetric_means_that_swapping_the_images_turns_the_velocity_round():
    torch.manual_seed(0)
    network = MambaMorph(embed_dim=24, stages=2, symmetric=True).eval()
    torch.nn.init.normal_(network.reg_head[0].weight, 0, 0.2)
    plain = MambaMorph(embed_dim=24, stages=2).eval()
    plain.load_state_dict(network.state_dict())
    images = torch.rand(2, 1, 1, 16, 16, 24)
    with torch.no_grad():
        there, back = network(*images)[1], network(*images.flip(0))[1]
        one_way, other_way = plain(*images)[1], plain(*images.flip(0))[1]
    assert there.abs().max() > 0.1
    torch.testing.assert_close(there, -back)
    torch.testing.assert_close(there, (one_way - other_way) / 2, rtol=1e-4, atol=1e-4)


def test_symmetric_needs_a_velocity():
    with pytest.raises(ConfigError, match="without a velocity"):
        MambaMorph(symmetric=True, diffeomorphic=False)
