import json
import math

import pytest
import torch

from medmamba.errors import ConfigError, DataError
from medmamba.networks.vivim import Vivim, VivimSegmentation, original_arguments
from tests.reference_data import REFERENCE, golden_cases, needs_reference

_TINY = {
    "features": (8, 16),
    "depths": (1, 1),
    "num_attention_heads": (1, 2),
    "sr_ratios": (2, 1),
    "mlp_ratios": (2, 2),
    "patch_sizes": (7, 3),
    "patch_strides": (4, 2),
    "decoder_hidden_size": 12,
    "classifier_labels": 2,
    "mamba_layers_per_stage": 1,
}


def _clip(*shape, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("case", golden_cases("vivim"), ids=lambda c: c.name)
def test_golden(case):
    net = Vivim(**original_arguments(case.architecture, case.kwargs))
    net.load_state_dict({k: torch.from_numpy(v) for k, v in case.weights().items()})
    out = net.double().eval()(*[torch.from_numpy(x).double() for x in case.inputs()])
    for name, error in case.errors(out).items():
        assert error <= case.tolerance(name), name
    norms = case.gradient_norms()
    if norms:
        sum(o.square().mean() for o in (out if isinstance(out, tuple) else (out,))).backward()
        _check_gradients(dict(net.named_parameters()), norms)


def _check_gradients(parameters, norms):
    assert set(parameters) == set(norms)
    for key, norm in norms.items():
        grad = parameters[key].grad
        if math.isnan(norm):
            assert grad is None, key
        else:
            assert abs(grad.norm().item() - norm) <= 1e-4 * norm + 1e-6, key


@needs_reference
def test_default_has_the_published_parameters_and_keys():
    manifest = json.loads((REFERENCE / "vivim" / "manifest_default.json").read_text())
    with torch.device("meta"):
        net = Vivim()
    assert sum(p.numel() for p in net.parameters()) == 59_620_439
    assert [(k, list(v.shape)) for k, v in net.state_dict().items()] == [
        (e["key"], e["shape"]) for e in manifest["state_dict"]
    ]


@pytest.mark.parametrize("mixer", ["mamba", "conv", "identity"])
def test_every_mixer_learns(mixer):
    net = Vivim(**_TINY, mixer=mixer, with_edge=True, stochastic_shuffle=0.5)
    sum(o.square().mean() for o in net(_clip(1, 5, 3, 16, 16))).backward()
    grads = {k: p.grad for k, p in net.named_parameters() if p.requires_grad}
    assert [k for k, g in grads.items() if g is None or not g.isfinite().all()] == []


def test_step_sizes_start_as_published():
    mamba = Vivim(**_TINY).encoder.stages[0][0][0].mamba
    for name in ("dt_proj", "dt_proj_b", "dt_proj_s"):
        layer = mamba.get_submodule(name)
        assert layer.bias.abs().max() == 0
        assert layer.weight.abs().max() < 0.1


def test_chunks_that_do_not_divide_are_named():
    with pytest.raises(ConfigError, match="num_frames=5 does not divide"):
        Vivim(**_TINY)(_clip(1, 3, 3, 16, 16))


def test_chunks_can_follow_the_clip():
    net = Vivim(**_TINY, num_frames="clip")
    assert net(_clip(1, 3, 3, 16, 16)).shape == (3, 1, 16, 16)


def test_chunks_by_clip_equal_the_published_ones_for_five_frames():
    fixed, free = Vivim(**_TINY).eval(), Vivim(**_TINY, num_frames="clip").eval()
    free.load_state_dict(fixed.state_dict())
    x = _clip(2, 5, 3, 16, 16)
    assert torch.equal(fixed(x), free(x))


def test_frames_come_out_clip_by_clip():
    net = Vivim(**_TINY).double().eval()
    x = _clip(2, 5, 3, 16, 16, dtype=torch.float64)
    assert torch.allclose(net(x)[5:], net(x[1:]), atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("size", [(5, 16, 16), (3, 17, 21), (7, 8, 40)])
def test_adapter_takes_any_size_and_channels(channels, size):
    net = VivimSegmentation(channels, 2, **_TINY).eval()
    assert net(_clip(2, channels, *size)).shape == (2, 2, *size)


def test_adapter_is_the_clip_network_on_normalised_frames():
    net = VivimSegmentation(1, 2, **_TINY).double().eval()
    x = _clip(2, 1, 5, 16, 16, dtype=torch.float64)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=torch.float64).view(2, 3, 1, 1)
    clips = (x.transpose(1, 2).repeat(1, 1, 3, 1, 1) - mean) / std
    want = net.vivim(clips).view(2, 5, 2, 16, 16).transpose(1, 2)
    assert torch.allclose(net(x), want, atol=1e-6)


def test_adapter_repeats_the_last_frame():
    net = VivimSegmentation(3, 2, **_TINY).double().eval()
    x = _clip(1, 3, 4, 16, 16, dtype=torch.float64)
    filled = torch.cat([x, x[:, :, -1:]], 2)
    assert torch.allclose(net(x), net(filled)[:, :, :4], atol=1e-12)


def test_adapter_answers_nnunets_switch_and_saves_the_network_alone():
    net = VivimSegmentation(3, 2, strides=[[1, 1, 1], [1, 2, 2]], deep_supervision=True, **_TINY).eval()
    assert isinstance(net(_clip(1, 3, 5, 16, 16)), list)
    net.decoder.deep_supervision = False
    assert isinstance(net(_clip(1, 3, 5, 16, 16)), torch.Tensor)
    assert all(k.startswith("vivim.") for k in net.state_dict())


def test_under_autocast_outputs_and_gradients_are_finite():
    net = VivimSegmentation(3, 2, **_TINY)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(_clip(1, 3, 5, 16, 16))
    assert out.isfinite().all()
    out.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.requires_grad)


def test_compiles_as_one_graph():
    net = VivimSegmentation(3, 2, **_TINY).eval()
    x = _clip(1, 3, 4, 17, 16)
    with torch.no_grad():
        assert torch.allclose(torch.compile(net, fullgraph=True, backend="eager")(x), net(x), atol=1e-5)


def _backbone_file(net, path):
    """Save `net`'s backbone as the common implementation names it."""
    names = {"encoder.downsample_layers.": "segformer.encoder.", "decoder.": "decode_head."}
    state = {}
    for key, value in net.state_dict().items():
        for ours, theirs in names.items():
            if key.startswith(ours):
                state[theirs + key.removeprefix(ours)] = value.clone()
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        torch.save(state, path)


@pytest.mark.parametrize("name", ["backbone.pth", "backbone.safetensors"])
def test_pretrained_backbone_from_a_file(tmp_path, name):
    source, target = Vivim(**_TINY), Vivim(**{**_TINY, "classifier_labels": 7})
    _backbone_file(source, tmp_path / name)
    assert target.load_backbone(tmp_path / name) == ["decoder.classifier.weight", "decoder.classifier.bias"]
    loaded, given = target.state_dict(), source.state_dict()
    for key in ("encoder.downsample_layers.block.1.0.attention.self.query.weight", "decoder.linear_fuse.weight"):
        assert torch.equal(loaded[key], given[key])


def test_pretrained_backbone_spreads_over_other_channels(tmp_path):
    source, target = Vivim(**_TINY).double(), Vivim(input_channels=5, **_TINY).double()
    _backbone_file(source, tmp_path / "backbone.pth")
    target.load_backbone(tmp_path / "backbone.pth")
    grey = _clip(1, 1, 8, 8, dtype=torch.float64)
    embed = [net.encoder.downsample_layers.patch_embeddings[0].proj for net in (source, target)]
    assert torch.allclose(embed[0](grey.repeat(1, 3, 1, 1)), embed[1](grey.repeat(1, 5, 1, 1)))


def test_a_backbone_of_another_size_is_refused(tmp_path):
    _backbone_file(Vivim(**_TINY), tmp_path / "backbone.pth")
    with pytest.raises(DataError, match="patch_embeddings"):
        Vivim(**{**_TINY, "features": (16, 32)}).load_backbone(tmp_path / "backbone.pth")


@pytest.mark.parametrize(
    "kwargs",
    [
        {"nonsense": 1},
        {"backbone_kwargs": {"hidden_act": "relu"}},
        {"feat_size": [8, 8], "backbone_kwargs": {"hidden_sizes": [8, 9]}},
    ],
)
def test_original_arguments_that_cannot_be_met_are_refused(kwargs):
    with pytest.raises(ConfigError, match=r"nonsense|hidden_act|hidden_sizes"):
        original_arguments("Vivim", kwargs)


@pytest.mark.parametrize("options", [{"features": (8, 16, 32)}, {"num_frames": 0}, {"num_frames": "five"}])
def test_arguments_that_do_not_fit_are_refused(options):
    with pytest.raises(ConfigError):
        Vivim(**{**_TINY, **options})


def test_clips_of_the_wrong_shape_are_named():
    with pytest.raises(ConfigError, match="clips"):
        Vivim(**_TINY)(_clip(1, 3, 5, 16, 16))
    with pytest.raises(ConfigError, match="frames, H, W"):
        VivimSegmentation(3, 2, **_TINY)(_clip(1, 2, 5, 16, 16))
