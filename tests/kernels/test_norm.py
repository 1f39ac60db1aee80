"""The fused norm against torch's own functions, compiled and in plain torch."""

import pytest
import torch
from torch.nn import functional as F

from medmamba.errors import ConfigError
from medmamba.kernels import library
from medmamba.kernels.norm import Norm, affine_act, channel_affine

LEVELS = library.LEVELS if library.load() is not None else ()
# (batch, voxels, channels, groups): one voxel block and many, channels below, at and between multiples of the vectors
SIZES = [(1, 1000, 32, 32), (2, 77, 5, 5), (1, 3000, 48, 8), (2, 2, 8, 2), (1, 300, 320, 320), (1, 900, 3, 1)]


@pytest.fixture(params=[*LEVELS, "torch"])
def path(request, monkeypatch):
    """Each instruction set that this machine has, and plain torch."""
    if request.param == "torch":
        monkeypatch.setattr(library, "load", lambda: None)
        yield "torch"
        return
    before = library.isa()
    if not library.load().mm_use(library.LEVELS.index(request.param)):
        pytest.skip(f"this CPU has no {request.param}")
    yield request.param
    library.load().mm_use(library.LEVELS.index(before))


def maps(batch, voxels, channels, dtype=torch.float32):
    torch.manual_seed(channels)
    x = torch.randn(batch, voxels, channels) * (torch.rand(channels) + 0.1) * 3 + torch.randn(channels) * 5
    return x.to(dtype), torch.randn(batch, voxels, channels).to(dtype)


def parameters(channels):
    return torch.rand(channels) + 0.5, torch.randn(channels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_is_group_norm(path, size, dtype):
    *shape, groups = size
    x, _ = maps(*shape, dtype)
    weight, bias = parameters(shape[2])
    y = affine_act(x, channel_affine(x, Norm(groups, weight, bias, 1e-3)), 0.2)
    expected = F.group_norm(x.double().transpose(1, 2), groups, weight.double(), bias.double(), 1e-3).transpose(1, 2)
    tolerance = 2e-6 if dtype is torch.float32 else 4e-3
    torch.testing.assert_close(y.double(), F.leaky_relu(expected, 0.2), rtol=tolerance, atol=10 * tolerance)
    assert y.dtype is dtype


@pytest.mark.parametrize("size", SIZES)
def test_adds_the_residual_between_two_activations(path, size):
    *shape, groups = size
    x, residual = maps(*shape)
    affine, other = channel_affine(x, Norm(groups)), channel_affine(residual, Norm(groups))
    (s, t), (rs, rt) = ([a.double()[:, None] for a in pair] for pair in (affine, other))
    plain = F.leaky_relu(x * s + t, 0.1)
    both = F.leaky_relu(plain + residual * rs + rt, 0.3)
    torch.testing.assert_close(affine_act(x, affine, 0.1, residual, other, 0.3).double(), both, rtol=1e-5, atol=1e-5)
    added = F.relu(plain + residual)
    torch.testing.assert_close(affine_act(x, affine, 0.1, residual, None, 0.0).double(), added, rtol=1e-5, atol=1e-5)


def test_in_place_and_strided(path):
    wide = torch.randn(2, 500, 40)
    x, residual = wide[..., :24], wide[..., 24:].repeat(1, 1, 2)[..., :24]
    expected = affine_act(x.clone(), channel_affine(x.clone(), Norm(24)), 1.0, residual, None, 0.0)
    untouched = wide[..., 24:].clone()
    out = affine_act(x, channel_affine(x, Norm(24)), 1.0, residual, None, 0.0, out=x)
    assert out.data_ptr() == wide.data_ptr()
    assert torch.equal(wide[..., :24], expected)
    assert torch.equal(wide[..., 24:], untouched)


def test_long_maps_with_a_large_mean_keep_their_digits(path):
    torch.manual_seed(0)
    x = torch.randn(1, 1 << 20, 8) + torch.tensor([0.0, 1, 10, 100, 1000, -1000, -3, 0.1])
    scale, shift = channel_affine(x, Norm(8))
    variance, mean = torch.var_mean(x.double(), dim=1, correction=0)
    torch.testing.assert_close(scale.double(), (variance + 1e-5).rsqrt(), rtol=1e-5, atol=0)
    torch.testing.assert_close(shift.double(), -mean * (variance + 1e-5).rsqrt(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("first", [-1000.0, 10_000.0])
def test_an_outlying_first_voxel_leaves_the_digits_of_the_others(path, first):
    torch.manual_seed(0)
    x = torch.randn(1, 50_000, 8)
    x[:, 0] = first
    scale, _ = channel_affine(x, Norm(8))
    variance = x.double().var(1, correction=0)
    torch.testing.assert_close(scale.double(), (variance + 1e-5).rsqrt(), rtol=1e-5, atol=0)


def test_same_bits_for_any_number_of_threads(path):
    x, _ = maps(2, 40_000, 32)
    results = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            affine = channel_affine(x, Norm(32))
            results.append(torch.stack([*affine, affine_act(x, affine, 0.01)[:, :1].mean(1)]))
    finally:
        torch.set_num_threads(threads)
    if path != "torch":
        assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    torch.testing.assert_close(results[0], results[1])


def test_nan_stays_in_its_channel(path):
    x, _ = maps(1, 200, 16)
    x[0, 5, 3] = torch.nan
    y = affine_act(x, channel_affine(x, Norm(16)), 0.01)
    assert y[..., 3].isnan().all()
    assert y[..., :3].isfinite().all() and y[..., 4:].isfinite().all()


def test_other_types_take_the_torch_path():
    x = torch.randn(1, 50, 6, dtype=torch.float64)
    y = affine_act(x, channel_affine(x, Norm(6)))
    torch.testing.assert_close(y, F.instance_norm(x.transpose(1, 2)).transpose(1, 2))


def test_empty_map(path):
    x = torch.empty(0, 10, 4)
    assert affine_act(x, (torch.ones(0, 4), torch.zeros(0, 4)), 0.1).shape == x.shape


@pytest.mark.parametrize("groups", [0, 2, 7])
def test_groups_that_do_not_divide_the_channels(path, groups):
    with pytest.raises(ConfigError, match=f"5 channels into {groups} equal groups"):
        channel_affine(torch.randn(1, 10, 5), Norm(groups))


def test_what_does_not_fit_is_one_sentence(path):
    x, affine = torch.randn(3, 10, 8), (torch.ones(3, 8), torch.zeros(3, 8))
    with pytest.raises(ConfigError, match=r"weight has shape \(4,\), expected \(8,\)"):
        channel_affine(x, Norm(8, torch.ones(4), torch.ones(4)))
    with pytest.raises(ConfigError, match="weight is on meta"):
        channel_affine(x, Norm(8, torch.ones(8, device="meta")))
    with pytest.raises(ConfigError, match=r"shape \(B, V, C\)"):
        channel_affine(x[0], Norm(8))
    with pytest.raises(ConfigError, match="residual has shape"):
        affine_act(x, affine, residual=x[:1])
    with pytest.raises(ConfigError, match="out has shape"):
        affine_act(x, affine, out=torch.empty(3, 5, 8))
    with pytest.raises(ConfigError, match="scale has shape"):
        affine_act(x, (torch.ones(1, 8), torch.zeros(1, 8)))


def test_scale_and_shift_of_any_layout_and_type(path):
    x = torch.randn(3, 10, 8)
    scale, shift = torch.arange(1.0, 9).double().expand(3, 8), torch.zeros(8, 3).T
    torch.testing.assert_close(affine_act(x, (scale, shift)), x * torch.arange(1.0, 9))


@pytest.mark.filterwarnings("ignore")
def test_a_tracer_sees_every_step(path):
    def once(x):
        return affine_act(x, channel_affine(x, Norm(8)), 0.1)

    traced = torch.jit.trace(once, torch.randn(1, 30, 8))
    x = torch.randn(1, 30, 8)
    torch.testing.assert_close(traced(x), once(x))
