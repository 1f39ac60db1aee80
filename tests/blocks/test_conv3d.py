import pytest
import torch
from torch import nn

from medmamba.blocks import conv3d
from medmamba.blocks.conv3d import Conv3d

SHAPES = [
    (3, 1, 1),
    ((1, 3, 3), 1, (0, 1, 1)),
    (3, 2, 1),
    (2, 2, 0),
    (5, 2, 2),
    (1, 1, 0),
    (3, (1, 2, 2), 1),
    (3, 1, 0),
]


@pytest.mark.parametrize(("kernel", "stride", "padding"), SHAPES)
def test_gradients_are_those_of_torch(kernel, stride, padding, monkeypatch):
    monkeypatch.setattr(conv3d, "_slow_in_torch", lambda x: True)
    ours = Conv3d(2, 3, kernel, stride, padding).double()
    theirs = nn.Conv3d(2, 3, kernel, stride, padding).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 2, 7, 8, 6, dtype=torch.float64).requires_grad_()
    outs = [net(x) for net in (ours, theirs)]
    upstream = torch.randn_like(outs[0])
    torch.testing.assert_close(outs[0], outs[1])
    wanted = torch.autograd.grad(outs[1], [x, *theirs.parameters()], upstream)
    for got, want in zip(torch.autograd.grad(outs[0], [x, *ours.parameters()], upstream), wanted, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("options", [{"groups": 2}, {"dilation": 2}, {"padding": "same"}])
def test_other_convolutions_are_left_to_torch(options):
    layer = Conv3d(2, 2, 3, **options)
    layer(torch.randn(1, 2, 8, 8, 8)).sum().backward()
    assert layer.weight.grad is not None
