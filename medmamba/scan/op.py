"""The scan as torch operators: forward and backward are opaque to autograd and torch.compile, shapes are declared.

Arguments are the fields of `ScanInputs` (K directions stacked); `orders` are `Order.code`s, because an operator takes
numbers and text but no objects.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import dispatch
from .inputs import ScanInputs, no_second_derivative, state_dtype
from .orders import Order


@torch.library.custom_op("medmamba::selective_scan", mutates_args=())
def scan_op(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    orders: Sequence[int],
    path: str,
    keep_states: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y (B, L, D), last states (K, B, D, N), kept states) by the path of that name."""
    inputs = ScanInputs(u, delta, A, B, C, D, z, delta_bias, delta_softplus, tuple(map(Order.from_code, orders)))
    return dispatch.by_name(path).forward(inputs, keep_states)


@scan_op.register_fake
def _(u, delta, A, B, C, D, z, delta_bias, delta_softplus, orders, path, keep_states):  # type: ignore[no-untyped-def]
    work = state_dtype(u.dtype)
    directions, batch, _, channels = u.shape
    states = A.shape[-1]
    shape = dispatch.by_name(path).checkpoint_shape(*u.shape, states) if keep_states else (0,)
    return (
        u.new_empty(u.shape[1:]),
        u.new_empty(directions, batch, channels, states, dtype=work),
        u.new_empty(shape, dtype=work),
    )


@torch.library.custom_op("medmamba::selective_scan_backward", mutates_args=())
def scan_backward_op(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    orders: Sequence[int],
    path: str,
    kept: Tensor,
    dy: Tensor,
) -> list[Tensor]:
    """Gradients of the eight tensors; an operator cannot return None, so absent ones come as empty tensors."""
    inputs = ScanInputs(u, delta, A, B, C, D, z, delta_bias, delta_softplus, tuple(map(Order.from_code, orders)))
    gradients = dispatch.by_name(path).backward(inputs, kept, dy)
    return [u.new_empty(0) if g is None else g for g in gradients]


@scan_backward_op.register_fake
def _(u, delta, A, B, C, D, z, delta_bias, delta_softplus, orders, path, kept, dy):  # type: ignore[no-untyped-def]
    tensors = (u, delta, A, B, C, D, z, delta_bias)
    return [u.new_empty(0) if t is None else torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in tensors]


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    *tensors, delta_softplus, orders, path, _ = inputs
    ctx.options = (delta_softplus, orders, path)
    ctx.save_for_backward(*tensors, output[2])
    ctx.mark_non_differentiable(output[1], output[2])


def _backward(ctx, dy, _dlast, _dkept):  # type: ignore[no-untyped-def]
    *tensors, kept = ctx.saved_tensors
    gradients = scan_backward_op(*tensors, *ctx.options, kept, dy)
    return *(None if t is None else g for t, g in zip(tensors, gradients, strict=True)), *([None] * 4)


scan_op.register_autograd(_backward, setup_context=_setup_context)
scan_backward_op.register_autograd(no_second_derivative("selective_scan"))
