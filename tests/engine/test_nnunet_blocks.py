"""nnU-Net's residual blocks."""

import copy

import pytest
import torch
from dynamic_network_architectures.building_blocks.residual import BasicBlockD, BottleneckD
from torch import nn

from medmamba.engine.convert import convert
from tests.engine.conftest import lively, relative

NORM = {"norm_op": nn.InstanceNorm2d, "norm_op_kwargs": {"affine": True}}
ACTIVATION = {"nonlin": nn.LeakyReLU, "nonlin_kwargs": {"inplace": True}}


@pytest.mark.parametrize("kind", [BasicBlockD, BottleneckD])
@pytest.mark.parametrize("widths", [(8, 8), (8, 12)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        NORM | ACTIVATION,
        NORM | ACTIVATION | {"squeeze_excitation": True},
        NORM | ACTIVATION | {"stochastic_depth_p": 0.3},
        NORM | {"nonlin": nn.GELU},
        ACTIVATION | {"conv_bias": True},
    ],
)
def test_same_output(kind, widths, stride, options):
    torch.manual_seed(0)
    middle = [4] if kind is BottleneckD else []
    block = lively(kind(nn.Conv2d, widths[0], *middle, widths[1], 3, stride, **options))
    x = torch.randn(2, 8, 10, 6)
    kept = x.clone()
    with torch.no_grad():
        assert relative(convert(copy.deepcopy(block), torch.float32)(x), block(x)) < 1e-5
    assert torch.equal(x, kept)
