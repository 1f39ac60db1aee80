"""The compiled causal convolution, forward and backward, one direction after the other (see `conv`)."""

from typing import Any

import torch
from torch import Tensor

from ..kernels import library
from ..kernels.arguments import ConvArguments, dtype_code
from .orders import Order

MOST_TAPS = 16
_SMALL = 1 << 15  # numbers below which threads cost more than they bring


def _fields(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, order: Order) -> dict[str, Any]:
    """What forward and backward of one direction have in common."""
    batch, length, channels = x.shape
    return {
        "batch": batch, "length": length, "channels": channels, "taps": weight.shape[-1], "silu": silu,
        "dtype": dtype_code(x.dtype), "slices": order.slices, "reverse": order.reverse,
        "threads": 1 if x.numel() < _SMALL else torch.get_num_threads(),
        "x": x, "x_batch": x.stride(0), "x_row": x.stride(1), "weight": weight, "bias": bias,
    }  # fmt: skip


def _dense_rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, orders: tuple[Order, ...]) -> Tensor:
    """(B, L, E) -> (K, B, L, E)."""
    x, weight = _dense_rows(x), weight.contiguous()
    bias = None if bias is None else bias.contiguous()
    out = x.new_empty(len(orders), *x.shape)
    for k, order in enumerate(orders):
        fields = _fields(x, weight[k], None if bias is None else bias[k], silu, order)
        library.call("mm_conv_forward", ConvArguments(**fields, out=out[k]))
    return out


def backward(
    x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, orders: tuple[Order, ...], dout: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x (in its type), weight and bias (float32) for `dout` (K, B, L, E)."""
    x, weight, dout = _dense_rows(x), weight.contiguous(), _dense_rows(dout.to(x.dtype))
    bias = None if bias is None else bias.contiguous()
    batch, _, channels = x.shape
    taps = weight.shape[-1]
    dx = torch.empty(x.shape, dtype=torch.float32)
    dweight, dbias = (
        weight.new_empty(len(orders), batch, channels, taps),
        weight.new_empty(len(orders), batch, channels),
    )
    for k, order in enumerate(orders):
        fields = _fields(x, weight[k], None if bias is None else bias[k], silu, order)
        own: dict[str, Any] = {
            "dout": dout[k], "dout_batch": dout.stride(1), "dout_row": dout.stride(2), "dx": dx, "first": k == 0,
            "dweight": dweight[k], "dbias": dbias[k],
        }  # fmt: skip
        library.call("mm_conv_backward", ConvArguments(**fields, **own))
    return dx.to(x.dtype), dweight.sum(1), dbias.sum(1)
