"""Causal depthwise convolution in scan order: what feeds a directional scan, found by address as the scan itself is.

For reverse it equals an anti-causal convolution with mirrored taps; for interslice the earlier taps lie one slice back.
The compiled and GPU paths write nothing but the result; the plain one goes through copies in scan order.
"""

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from . import conv_cpu, conv_triton, dispatch
from .inputs import check_tensors, no_forward_mode, no_second_derivative, state_dtype
from .orders import Order, orders_of

_COMPILED: dict[str, ModuleType] = {"cpu": conv_cpu, "triton": conv_triton}


def causal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    directions: Sequence[str] = ("forward",),
    nslices: int | None = None,
    silu: bool = True,
) -> Tensor:
    r"""K causal depthwise convolutions of one sequence, each in its own scan order.

    .. math:: v_{k,p(i)} = b_k + \sum_j w_{k,j}\, x_{p(i - T + 1 + j)}, \quad u = \mathrm{silu}(v)

    with zeros before the first step; the last of the T taps is the current step.

    Parameters
    ----------
    x: (B, L, E), any strides of B and L. weight: (K, E, T). bias: (K, E) or None. directions: K names, see
    `selective_scan`. silu: False returns v itself.

    Returns (K, B, L, E) at positions, in x's type; sums are float32 at least. Raises ConfigError for what does not fit.
    """
    _check_shapes(x, weight, bias, len(directions))
    check_tensors("causal_conv", {"x": x, "weight": weight, "bias": bias})
    orders = orders_of(directions, nslices, x.shape[1])
    work = state_dtype(x.dtype)
    weight, bias = weight.to(work), None if bias is None else bias.to(work)
    path = dispatch.path_name(x.device, x.dtype)
    if path in _COMPILED and weight.shape[-1] <= _COMPILED[path].MOST_TAPS:
        no_forward_mode("causal_conv", x, weight, bias)
        if dispatch.wants_numbers_only():
            with torch.profiler.record_function("medmamba::causal_conv"):  # by this name a profile shows it
                return _COMPILED[path].forward(x, weight, bias, silu, orders)
        return conv_op(x, weight, bias, silu, [order.code for order in orders], path)
    return torch.stack(
        [_convolve(x, weight[k], None if bias is None else bias[k], order, silu) for k, order in enumerate(orders)]
    )


def _check_shapes(x: Tensor, weight: Tensor, bias: Tensor | None, directions: int) -> None:
    """ConfigError unless the shapes fit each other and there is a tap."""
    if x.dim() != 3:
        raise ConfigError(f"causal_conv: x has shape {tuple(x.shape)}, expected (batch, length, channels).")
    wanted = f"({directions}, {x.shape[2]}"
    if weight.dim() != 3 or weight.shape[:2] != (directions, x.shape[2]):
        raise ConfigError(f"causal_conv: weight has shape {tuple(weight.shape)}, expected {wanted}, taps).")
    if weight.shape[2] == 0:
        raise ConfigError("causal_conv: weight has no taps.")
    if bias is not None and bias.shape != weight.shape[:2]:
        raise ConfigError(f"causal_conv: bias has shape {tuple(bias.shape)}, expected {wanted}).")


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, order: Order, silu: bool) -> Tensor:
    """One direction in plain torch, as T shifted products: exact in every type, faster than a grouped convolution."""
    length, taps = x.shape[1], weight.shape[-1]
    padded = F.pad(order.to_steps(x.to(weight.dtype)), (0, 0, taps - 1, 0))
    out = padded[:, :length] * weight[:, 0]
    for k in range(1, taps):
        out = out + padded[:, k : k + length] * weight[:, k]
    if bias is not None:
        out = out + bias
    return order.to_positions(F.silu(out) if silu else out).to(x.dtype)


@torch.library.custom_op("medmamba::causal_conv", mutates_args=())
def conv_op(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, orders: Sequence[int], path: str) -> Tensor:
    """(K, B, L, E) by the path of that name."""
    return _COMPILED[path].forward(x, weight, bias, silu, tuple(map(Order.from_code, orders)))


@conv_op.register_fake
def _(x, weight, bias, silu, orders, path):  # type: ignore[no-untyped-def]
    return x.new_empty(weight.shape[0], *x.shape)


@torch.library.custom_op("medmamba::causal_conv_backward", mutates_args=())
def conv_backward_op(
    x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, orders: Sequence[int], path: str, dout: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias; that of an absent bias is computed all the same and left unused."""
    return _COMPILED[path].backward(x, weight, bias, silu, tuple(map(Order.from_code, orders)), dout)


@conv_backward_op.register_fake
def _(x, weight, bias, silu, orders, path, dout):  # type: ignore[no-untyped-def]
    return x.new_empty(x.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape[:2])


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, weight, bias, *ctx.options = inputs
    ctx.save_for_backward(x, weight, bias)


def _backward(ctx, dout):  # type: ignore[no-untyped-def]
    x, weight, bias = ctx.saved_tensors
    dx, dweight, dbias = conv_backward_op(x, weight, bias, *ctx.options, dout)
    return dx, dweight, None if bias is None else dbias, None, None, None


conv_op.register_autograd(_backward, setup_context=_setup_context)
conv_backward_op.register_autograd(no_second_derivative("causal_conv"))
