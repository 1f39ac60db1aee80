import pytest
import torch

from medmamba.blocks.warp import integrate, resize_displacement, warp
from medmamba.errors import ConfigError
from tests.reference_data import arrays, needs_reference

# The stored results were computed in float32, sampling coordinates included.
_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def ops():
    return {k: torch.from_numpy(v).double()[None] for k, v in arrays("mambamorph/golden_ops.npz").items()}


def _onehot(labels, classes=4):
    return torch.stack([labels == k for k in range(classes)], 1).double()


@needs_reference
def test_linear_warp(ops):
    out = warp(ops["img"][None], ops["big_flow"])
    assert (out[0] - ops["warp_linear"]).abs().max() < _TOLERANCE


@needs_reference
def test_onehot_linear_warp(ops):
    out = warp(_onehot(ops["labels"]), ops["big_flow"])
    assert (out - ops["warp_onehot_linear"]).abs().max() < _TOLERANCE


@needs_reference
def test_nearest_warp_keeps_labels(ops):
    out = warp(ops["labels"][None], ops["big_flow"], mode="nearest")
    assert torch.equal(out[0], ops["warp_label_nearest"])


@needs_reference
@pytest.mark.parametrize(("steps", "sign", "name"), [(0, 1, "0"), (1, 1, "1"), (7, 1, "7"), (7, -1, "neg_7")])
def test_integration(ops, steps, sign, name):
    out = integrate(sign * ops["velocity"], steps)
    assert (out - ops[f"vecint_{name}"]).abs().max() < _TOLERANCE


@needs_reference
@pytest.mark.parametrize(("factor", "name"), [(0.5, "half"), (2, "double")])
def test_resize(ops, factor, name):
    out = resize_displacement(ops["velocity"], factor)
    assert (out - ops[f"resize_{name}"]).abs().max() < _TOLERANCE


def test_whole_voxel_shift_in_2d():
    image = torch.arange(12, dtype=torch.float64).view(1, 1, 3, 4)
    shift = torch.zeros(1, 2, 3, 4, dtype=torch.float64)
    shift[:, 0] = 1
    out = warp(image, shift)
    assert torch.allclose(out[..., :2, :], image[..., 1:, :])
    assert out[..., 2, :].abs().max() == 0


def test_a_single_slice_fades_out_when_it_leaves():
    image = torch.ones(1, 1, 1, 2, 2)
    out = warp(image, torch.tensor([0.25, 0, 0]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 2))
    assert torch.allclose(out, torch.full_like(out, 0.75))


def test_half_precision_is_widened():
    image = torch.rand(1, 1, 2, 300)
    out = warp(image.bfloat16(), torch.full((1, 2, 2, 300), 0.5, dtype=torch.bfloat16))
    assert out.dtype == torch.float32
    want = (image[..., :-1, :-1] + image[..., :-1, 1:] + image[..., 1:, :-1] + image[..., 1:, 1:]) / 4
    assert (out[..., :-1, :-1] - want).abs().max() < 0.01


def test_autocast_does_not_reach_the_coordinates():
    velocity = torch.rand(1, 2, 4, 300)
    with torch.autocast("cpu", torch.bfloat16):
        within = integrate(velocity)
    assert torch.equal(within, integrate(velocity))


@pytest.mark.parametrize("shape", [(1, 2, 4, 4, 4), (1, 3, 4, 4, 5), (1, 3, 4, 4)])
def test_a_field_that_does_not_fit_is_named(shape):
    with pytest.raises(ConfigError, match="displacement field"):
        warp(torch.zeros(1, 1, 4, 4, 4), torch.zeros(shape))
