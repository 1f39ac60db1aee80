"""Norms and sequences of modules: fused where nobody can notice."""

import copy

import pytest
import torch
from torch import nn

from medmamba.engine.convert import convert
from medmamba.engine.norms import NormAct, normalised, slope_of
from tests.engine.conftest import lively, relative


def fast(network):
    return convert(copy.deepcopy(network), torch.float32)


@pytest.mark.parametrize(
    "modules",
    [
        [nn.Conv3d(3, 8, 3), nn.InstanceNorm3d(8, affine=True), nn.LeakyReLU(0.1)],
        [nn.Conv3d(3, 8, 3), nn.Dropout3d(), nn.InstanceNorm3d(8), nn.ReLU(inplace=True)],
        [nn.Conv3d(3, 8, 3), nn.LeakyReLU(0.1, inplace=True), nn.InstanceNorm3d(8)],
        [nn.InstanceNorm3d(3, eps=1e-2), nn.Conv3d(3, 8, 3)],
        [nn.GroupNorm(3, 3), nn.ReLU(), nn.Conv3d(3, 8, 3), nn.GroupNorm(2, 8)],
        [nn.Conv3d(3, 8, 3), nn.InstanceNorm3d(8), nn.GELU()],
        [nn.Conv3d(3, 8, 3), nn.InstanceNorm3d(8, track_running_stats=True), nn.ReLU()],
        [nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.ReLU()],
        [],
    ],
)
def test_sequence(modules):
    network = lively(nn.Sequential(*modules))
    x = torch.randn(2, 3, 6, 7, 8)
    kept = x.clone()
    with torch.no_grad():
        assert relative(fast(network)(x), network(x)) < 1e-5
    assert torch.equal(x, kept)


def test_norm_and_activation_become_one():
    network = fast(nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.LeakyReLU(0.1)))
    assert isinstance(network[1], NormAct) and network[1].overwrite and isinstance(network[2], nn.Identity)
    alone = fast(nn.Sequential(nn.InstanceNorm2d(3), nn.ReLU()))
    assert isinstance(alone[0], NormAct) and not alone[0].overwrite


def test_the_input_is_kept_unless_it_may_be_overwritten():
    x = torch.randn(1, 8, 4, 4, 4).contiguous(memory_format=torch.channels_last_3d)
    kept = x.clone()
    expected = normalised(x)
    assert torch.equal(x, kept)
    assert normalised(x, overwrite=True).data_ptr() == x.data_ptr()
    assert torch.equal(x, expected)


def test_slopes():
    assert [slope_of(m) for m in (nn.ReLU(), nn.LeakyReLU(0.3), nn.Identity(), nn.GELU())] == [0.0, 0.3, 1.0, None]
