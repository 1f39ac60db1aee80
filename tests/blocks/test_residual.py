import pytest
import torch
from torch import nn

from medmamba.blocks.residual import IdentityBlock, ShortcutBlock, UnetrBlock, UnetrResidual, UnetrUp


@pytest.mark.parametrize("dims", [2, 3])
def test_shapes_in_2d_and_3d(dims):
    x = torch.randn(1, 4, *[8] * dims)
    assert ShortcutBlock(4, 6, [3] * dims, [2] * dims)(x).shape == (1, 6, *[4] * dims)
    assert IdentityBlock(4, [3] * dims)(x).shape == x.shape
    up = UnetrUp(dims, 4, 6)
    assert up(x, torch.randn(1, 6, *[16] * dims)).shape == (1, 6, *[16] * dims)


def test_the_plain_shortcut_needs_equal_widths():
    assert UnetrResidual(3, 4, 4).conv3 is None
    assert UnetrBlock(3, 4, 5).layer.conv3 is not None


def test_identity_block_adds_its_input():
    block = IdentityBlock(2, [3, 3])
    for convolution in (block.conv1, block.conv2):
        nn.init.zeros_(convolution.norm.weight)
    x = torch.rand(1, 2, 4, 4)
    torch.testing.assert_close(block(x), x)
