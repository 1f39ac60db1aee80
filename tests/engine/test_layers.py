"""Each form of a layer against torch's own."""

import pytest
import torch
from torch import nn

from medmamba.engine import layers
from medmamba.engine.layers import convolution, pooling, transposed
from medmamba.kernels import winograd
from tests.engine.conftest import relative


def assert_same(form, layer, x):
    with torch.no_grad():
        expected = layer(x)
        for given in (x, x.contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)):
            result = form(given)
            assert result.shape == expected.shape and relative(result, expected) < 1e-5


@pytest.mark.parametrize("stride", [1, 2, (1, 2, 2)])
@pytest.mark.parametrize("first", [False, True])
def test_pointwise(stride, first):
    layer = nn.Conv3d(5, 7, 1, stride)
    form = convolution(layer, torch.float32, first)
    assert isinstance(form, layers.Pointwise)
    assert_same(form, layer, torch.randn(2, 5, 6, 5, 4))
    assert form(torch.randn(2, 5, 6, 5, 4)).is_contiguous() is first


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), ((1, 3, 3), (0, 1, 1)), (5, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_few_channels(channels, kernel, padding, bias, monkeypatch):
    monkeypatch.setattr(layers, "_IN_CACHE", 5000)  # several stretches of planes
    layer = nn.Conv3d(channels, 8, kernel, padding=padding, bias=bias)
    form = convolution(layer, torch.float32)
    assert isinstance(form, layers.FewChannels)
    assert_same(form, layer, torch.randn(2, channels, 7, 9, 6))


@pytest.mark.parametrize("options", [{"stride": 2}, {"groups": 4}, {"dilation": 2}, {"padding": "same"}, {}])
def test_any_other_convolution(options):
    layer = nn.Conv3d(4, 8, 3, **{"padding": 1, **options})
    form = convolution(layer, torch.float32)
    assert isinstance(form, layers.Convolution)
    assert_same(form, layer, torch.randn(2, 4, 7, 9, 6))
    flat = nn.Conv2d(4, 8, 3, **{"padding": 1, **options})
    assert_same(convolution(flat, torch.float32), flat, torch.randn(2, 4, 9, 6))


def test_other_padding():
    layer = nn.Conv3d(4, 8, 3, padding=1, padding_mode="reflect")
    assert_same(convolution(layer, torch.float32), layer, torch.randn(1, 4, 5, 6, 7))


def test_no_winograd_without_the_library(no_library):
    wide = nn.Conv3d(16, 20, 3, padding=1)
    assert isinstance(convolution(wide, torch.float32), layers.Convolution)


@pytest.mark.skipif(not winograd.available(), reason="no compiled library for wide vectors")
@pytest.mark.parametrize("kernel", [3, (1, 3, 3)])
def test_winograd(kernel):
    layer = nn.Conv3d(16, 20, kernel, padding="same")
    assert isinstance(convolution(layer, torch.float32), layers.Winograd)
    assert_same(convolution(layer, torch.float32), layer, torch.randn(2, 16, 5, 4, 7))
    assert_same(convolution(layer, torch.float32), layer, torch.randn(1, 16, 1, 1, 1))
    flat = nn.Conv2d(16, 20, 3, padding=1)
    assert isinstance(convolution(flat, torch.float32), layers.Winograd)
    assert_same(convolution(flat, torch.float32), flat, torch.randn(2, 16, 5, 4))
    for other in (
        nn.Conv3d(16, 20, 3, 2, 1),
        nn.Conv3d(16, 20, 3),
        nn.Conv3d(16, 20, 3, padding=2, dilation=2),
        nn.Conv3d(16, 32, 3, padding=1, groups=2),
        nn.Conv3d(8, 20, 3, padding=1),
        nn.Conv3d(1024, 512, 3, padding=1, device="meta"),
    ):
        assert isinstance(convolution(other, torch.float32), layers.Convolution)
    assert isinstance(convolution(layer, torch.bfloat16), layers.Convolution)


@pytest.mark.parametrize("factor", [2, (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_upsampling(factor, bias, monkeypatch):
    monkeypatch.setattr(layers, "_IN_CACHE", 2000)
    layer = nn.ConvTranspose3d(6, 5, factor, factor, bias=bias)
    form = transposed(layer, torch.float32)
    assert isinstance(form, layers.Upsampling)
    assert_same(form, layer, torch.randn(2, 6, 3, 4, 5))


def test_upsampling_in_the_plane():
    layer = nn.ConvTranspose2d(6, 5, (2, 3), (2, 3))
    assert_same(transposed(layer, torch.float32), layer, torch.randn(2, 6, 4, 5))


def test_other_transposed_convolution():
    layer = nn.ConvTranspose3d(6, 5, 3, 2, 1, output_padding=1)
    assert_same(transposed(layer, torch.float32), layer, torch.randn(1, 6, 3, 4, 5))


@pytest.mark.parametrize("size", [2, (1, 2, 2)])
def test_average_pool(size):
    layer = nn.AvgPool3d(size)
    assert isinstance(pooling(layer), layers.AveragePool)
    assert_same(pooling(layer), layer, torch.randn(2, 3, 5, 6, 7))
    assert pooling(layer)(torch.randn(1, 3, 4, 4, 4).bfloat16()).dtype is torch.bfloat16
    assert isinstance(pooling(nn.AvgPool3d(3, 2, 1)), nn.AvgPool3d)


@pytest.mark.parametrize("form", [convolution, transposed])
def test_forms_take_any_type(form):
    layer = nn.ConvTranspose3d(4, 6, 2, 2) if form is transposed else nn.Conv3d(4, 6, 3, padding=1)
    x = torch.randn(1, 4, 4, 4, 4)
    expected = layer(x).detach()
    result = form(layer, torch.bfloat16)(x)
    assert result.dtype is torch.bfloat16 and relative(result.float(), expected) < 1e-2
