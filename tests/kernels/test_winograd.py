"""Winograd's convolution against torch's."""

import pytest
import torch
from torch.nn import functional as F

from medmamba.errors import ConfigError
from medmamba.kernels import library, winograd

pytestmark = pytest.mark.skipif(library.load() is None, reason="the compiled library is not built")


@pytest.fixture(params=library.LEVELS)
def level(request):
    """Each instruction set that this machine has."""
    if not library.load().mm_use(library.LEVELS.index(request.param)):
        pytest.skip(f"this CPU has no {request.param}")
    yield request.param
    library.load().mm_use(library.LEVELS.index(BEST))


BEST = library.isa() or "portable"


def case(batch, channels, outputs, *spatial, kernel=3):
    torch.manual_seed(channels)
    layout = torch.channels_last if len(spatial) == 2 else torch.channels_last_3d
    size = (kernel, *[3] * (len(spatial) - 1))
    x = torch.randn(batch, channels, *spatial).contiguous(memory_format=layout)
    return x, torch.randn(outputs, channels, *size), torch.randn(outputs)


def check(x, weight, bias):
    y = winograd.convolve(x, winograd.transformed(weight), bias, weight.shape[0])
    convolution = F.conv2d if x.dim() == 4 else F.conv3d
    padding = [k // 2 for k in weight.shape[2:]]
    expected = convolution(x.double(), weight.double(), None if bias is None else bias.double(), padding=padding)
    assert y.shape == expected.shape
    assert (y - expected).norm() / expected.norm() < 1e-6
    return y


# widths below, at and between multiples of the vectors; odd and single sizes; more than one block of tiles
@pytest.mark.parametrize("channels", [1, 5, 16, 40])
@pytest.mark.parametrize("outputs", [1, 7, 24, 32, 72])
def test_widths(level, channels, outputs):
    check(*case(2, channels, outputs, 5, 6, 9))


@pytest.mark.parametrize("spatial", [(1, 1, 1), (2, 2, 2), (1, 5, 3), (7, 1, 12), (9, 10, 11)])
def test_sizes(level, spatial):
    check(*case(1, 16, 32, *spatial))


def test_kernel_in_the_plane(level):
    check(*case(2, 16, 32, 3, 7, 9, kernel=1))
    check(*case(2, 16, 32, 9, 14))


def test_without_bias(level):
    x, weight, _ = case(1, 16, 16, 4, 4, 4)
    check(x, weight, None)


def test_same_bits_for_any_number_of_threads(level):
    x, weight, bias = case(1, 16, 16, 12, 12, 12)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(check(x, weight, bias))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_nan_stays_near():
    x, weight, bias = case(1, 16, 16, 12, 12, 12)
    x[0, 3, 0, 0, 0] = torch.nan
    y = winograd.convolve(x, winograd.transformed(weight), bias, 16)
    assert y[0, :, 0, 0, 0].isnan().all()
    assert y[:, :, 4:].isfinite().all() and y[..., 4:].isfinite().all()


@pytest.mark.parametrize("batch_and_sizes", [(0, 4, 4, 4), (1, 0, 4, 4), (1, 4, 4, 0)])
def test_an_empty_map(level, batch_and_sizes):
    batch, *spatial = batch_and_sizes
    x, weight, bias = case(batch, 16, 16, *spatial)
    y = winograd.convolve(x, winograd.transformed(weight), bias, 16)
    assert y.shape == (batch, 16, *spatial)


def test_what_does_not_fit_is_one_sentence():
    x, weight, bias = case(1, 16, 16, 4, 5, 6)
    points = winograd.transformed(weight)
    for wrong in (x.double(), x.to("meta")):
        with pytest.raises(ConfigError, match="takes float32 on a CPU"):
            winograd.convolve(wrong, points, bias, 16)
    with pytest.raises(ConfigError, match="takes float32 on a CPU, not bfloat16"):
        winograd.convolve(x, points.bfloat16(), bias, 16)
    with pytest.raises(ConfigError, match="not for 8 to 16"):
        winograd.convolve(x[:, :8].contiguous(memory_format=torch.channels_last_3d), points, bias, 16)
    with pytest.raises(ConfigError, match="not for 16 to 16"):
        winograd.convolve(x, points, bias[:5], 16)
    with pytest.raises(ConfigError, match="not for 16 to 40"):
        winograd.convolve(x, points, None, 40)
    with pytest.raises(ConfigError, match=r"shape \(16, 4, 5, 6\)"):
        winograd.convolve(x[0], points, bias, 16)
    with pytest.raises(ConfigError, match="channels innermost"):
        winograd.convolve(x.contiguous(), points, bias, 16)
