"""The GPU convolution against the plain one, by default in Triton's interpreter."""

import pytest
import torch

from medmamba.scan import conv_triton
from medmamba.scan.orders import Order

ALL = (Order(), Order(reverse=True), Order(3), Order(3, True))


def plain(x, weight, bias, silu, orders):
    """Shifted products in float64, in scan order and back."""
    outs = []
    taps = weight.shape[-1]
    for k, order in enumerate(orders):
        padded = torch.nn.functional.pad(order.to_steps(x), (0, 0, taps - 1, 0))
        out = sum(padded[:, t : t + x.shape[1]] * weight[k, :, t] for t in range(taps))
        out = out if bias is None else out + bias[k]
        outs.append(order.to_positions(torch.nn.functional.silu(out) if silu else out))
    return torch.stack(outs)


@pytest.mark.parametrize(
    ("shape", "taps", "silu", "with_bias", "dtype"),
    [
        ((2, 36, 35), 4, True, True, torch.float32),
        ((1, 3, 1), 4, True, True, torch.float32),
        ((1, 69, 70), 1, False, False, torch.float32),
        ((1, 33, 8), 4, True, True, torch.bfloat16),
    ],
)
def test_equals_the_plain_convolution(shape, taps, silu, with_bias, dtype, kernel_device):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(*shape[:2], 2 * shape[2], generator=g).to(kernel_device, dtype)[..., : shape[2]]
    weight = torch.randn(4, shape[2], taps, generator=g).to(kernel_device)
    bias = torch.randn(4, shape[2], generator=g).to(kernel_device) if with_bias else None
    dout = torch.randn(4, *shape, generator=g).to(kernel_device, dtype)
    wide = [None if t is None else t.detach().cpu().double().requires_grad_() for t in (x, weight, bias)]
    wanted = plain(*wide, silu, ALL)
    wanted.backward(dout.cpu().double())

    got = conv_triton.forward(x, weight, bias, silu, ALL)
    assert got.dtype == dtype
    gradients = conv_triton.backward(x, weight, bias, silu, ALL, dout)
    bound = 1e-6 if dtype == torch.float32 else 1e-2
    pairs = [(got, wanted.detach()), *((a, w.grad) for a, w in zip(gradients, wide, strict=True) if w is not None)]
    for value, want in pairs:
        assert (value.cpu().double() - want).norm() <= bound * want.norm()


def test_rows_of_the_gradient_may_lie_further_apart_than_those_of_the_input():
    x, weight = torch.empty(1, 2**20, 8, device="meta"), torch.empty(1, 8, 4)
    apart = torch.empty(1, 1, 2**20, 2**11, device="meta")[..., :8]
    assert not conv_triton._shared(x, weight, None, True, ALL)["WIDE"]
    assert conv_triton._shared(x, weight, None, True, ALL, apart)["WIDE"]


@pytest.mark.parametrize("order", [Order(), Order(reverse=True), Order(2)])
def test_a_bad_value_never_reaches_earlier_steps(order, kernel_device):
    x = torch.zeros(1, 12, 2, device=kernel_device)
    x[0, 7] = float("nan")
    out = conv_triton.forward(x, torch.ones(1, 2, 4, device=kernel_device), None, True, (order,))
    bad = order.to_steps(out[0].isnan().any(-1))[0]
    step = int(order.to_steps(x.isnan().any(-1))[0].nonzero()[0])
    assert bad.nonzero().flatten().tolist() == list(range(step, min(step + 4, 12)))
