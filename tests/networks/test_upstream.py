"""Every golden network fixture through `from_upstream`, judged in float64 with the fixtures' own tolerances."""

import json

import numpy as np
import pytest
import torch

from medmamba.errors import ConfigError, DataError
from medmamba.networks import create, from_upstream
from tests.reference_data import REFERENCE, golden_cases, needs_reference

CASES = golden_cases()
FULL = sorted(REFERENCE.glob("*/keys_full_*.json")) + sorted(REFERENCE.glob("*/manifest_full_*.json"))
# Gradient norms of the fixtures computed in float32: their own rounding (relative, absolute).
FLOAT32_NORMS = {"segmamba": (3e-3, 2e-6), "vivim": (1e-4, 1e-6)}


def outputs(case, network):
    out = network.double().eval()(*[torch.from_numpy(x).double() for x in case.inputs()])
    return list(out) if isinstance(out, list | tuple) else [out]


@needs_reference
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_fixture(case):
    network = from_upstream(case.architecture, case.kwargs, case.weights())
    assert sum(p.numel() for p in network.parameters()) == case.parameter_count
    norms = case.gradient_norms()
    with torch.set_grad_enabled(bool(norms)):
        outs = outputs(case, network)
    for name, error in case.errors(outs).items():
        assert error <= case.tolerance(name), name
    if norms:
        sum((o**2).mean() for o in outs[: len(case.output_names)]).backward()
        check_gradients(case, network, norms)


def check_gradients(case, network, norms):
    relative, absolute = FLOAT32_NORMS.get(case.npz.parent.name, (1e-6, 1e-14 * np.nanmax(list(norms.values()))))
    parameters = dict(network.named_parameters())
    for key, want in norms.items():
        gradient = parameters[key].grad
        if np.isnan(want):
            assert gradient is None, key
        else:
            assert abs(gradient.norm().item() - want) <= relative * want + absolute, key


@needs_reference
@pytest.mark.parametrize("file", FULL, ids=lambda p: p.stem)
def test_full_size_networks_have_the_exact_keys_and_counts(file):
    manifest = json.loads(file.read_text())
    architecture = manifest.get("architecture", manifest.get("network"))
    with torch.device("meta"):
        network = from_upstream(architecture, manifest.get("kwargs", manifest.get("config")))
    unique = {
        e["key"]: tuple(e["shape"]) for e in manifest["state_dict"] if "alias_of" not in e and not e.get("constant")
    }
    own = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    assert own == unique
    count = manifest.get("param_count", manifest.get("n_parameters"))
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.fixture
def small():
    return {"in_chans": 1, "out_chans": 2, "depths": [1] * 4, "feat_size": [48, 8, 8, 8], "hidden_size": 8}


def test_wrapped_checkpoints_are_understood(small):
    source = from_upstream("SegMamba", small)
    wrapped = {"module": {f"module.{k}": v for k, v in source.state_dict().items()}}
    loaded = from_upstream("SegMamba", small, wrapped)
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), loaded.state_dict().values(), strict=True)
    )


def test_weights_of_another_shape_name_the_entry(small):
    weights = from_upstream("SegMamba", small).state_dict()
    with pytest.raises(DataError, match=r"out\.conv\.conv\.bias has shape \(2,\), expected \(3,\)"):
        from_upstream("SegMamba", small | {"out_chans": 3}, weights)


def test_missing_and_unknown_entries_are_counted(small):
    weights = from_upstream("SegMamba", small).state_dict()
    weights["surplus"] = weights.pop("out.conv.conv.bias")
    with pytest.raises(DataError, match=r"1 missing \(out\.conv\.conv\.bias\) 1 unknown \(surplus\)"):
        from_upstream("SegMamba", small, weights)


def test_unknown_architectures_and_arguments_are_named(small):
    with pytest.raises(ConfigError, match="'UNet'"):
        from_upstream("UNet", {})
    with pytest.raises(ConfigError, match="in_channels"):
        from_upstream("SegMamba", {"in_channels": 4})


@needs_reference
def test_the_callers_lists_are_not_changed():
    kwargs = {k: v for case in CASES if case.name == "umamba/bot_3d_ds" for k, v in case.kwargs.items()}
    before = json.dumps(kwargs)
    from_upstream("UMambaBot", kwargs)
    assert json.dumps(kwargs) == before


def test_slices_of_the_original_and_of_ours_agree_at_depth_128(small):
    torch.manual_seed(0)
    original = from_upstream("SegMamba", small).eval()
    ours = create(
        "segmamba", input_channels=1, num_classes=2, depths=[1] * 4, features=[48, 8, 8, 8], hidden_size=8
    ).eval()
    ours.load_state_dict(original.state_dict())
    x = torch.randn(1, 1, 128, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(original(x), ours(x))
