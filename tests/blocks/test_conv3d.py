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


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_maps_of_two_slices_have_a_finite_gradient(autocast):
    """torch's own reads memory that nobody wrote; what was freed before says what it finds."""
    torch.manual_seed(0)
    conv = Conv3d(32, 16, 3, padding=1)
    x = torch.randn(1, 32, 2, 4, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = conv(x) if autocast else conv.bfloat16()(x.bfloat16())
    rubbish = [torch.full((size,), torch.nan) for size in (64, 256, 1024, 4096, 16384, 65536) for _ in range(30)]
    del rubbish
    dy = torch.randn(y.shape)
    y.backward(dy.bfloat16())
    assert x.grad is not None and x.grad.isfinite().all()
    expected = conv3d.weight_gradient(x.detach().double(), dy.double(), (3, 3, 3), (1, 1, 1), (1, 1, 1))
    assert y.dtype == torch.bfloat16
    assert torch.allclose(conv.weight.grad.double(), expected, atol=0.05 * expected.abs().max().item())
