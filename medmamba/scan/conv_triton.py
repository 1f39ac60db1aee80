"""The causal convolution on a GPU, forward and backward, all directions in one launch (see `conv`)."""

from typing import Any

import torch
from torch import Tensor

from .orders import Order

MOST_TAPS = 8
_ROWS = 32  # positions of one program
_CHANNELS = 64
FORWARD = {"num_warps": 4}
BACKWARD = {"num_warps": 8, "maxnreg": 128}  # left to itself the compiler takes more, and one program fills a processor


def _dense_rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _shared(
    x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, orders: tuple[Order, ...], *more: Tensor
) -> dict[str, Any]:
    """Compile-time arguments that forward and backward have in common; `more` are tensors with rows beside x."""
    from .gpu.plan import padded

    return {
        "TAPS": weight.shape[-1],
        "ROWS": _ROWS,
        "COLUMNS": min(_CHANNELS, padded(x.shape[-1])),
        "SILU": silu,
        "HAS_BIAS": bias is not None,
        "SLICED": any(order.slices > 1 for order in orders),
        "WIDE": x.shape[1] * max(x.shape[-1], *(t.stride(-2) for t in (x, *more))) >= 2**31,
    }


def _tiles(x: Tensor) -> tuple[int, int, int]:
    """(tiles of positions, blocks of channels, batch)."""
    batch, length, channels = x.shape
    return -(-length // _ROWS), -(-channels // _CHANNELS), batch


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, orders: tuple[Order, ...]) -> Tensor:
    """(B, L, E) -> (K, B, L, E)."""
    from .gpu import launch
    from .gpu.conv_kernel import conv_forward
    from .gpu.plan import order_bits

    x, taps = _dense_rows(x), weight.transpose(1, 2).contiguous()  # (K, T, E)
    out = x.new_empty(len(orders), *x.shape)
    tiles, blocks, batch = _tiles(x)
    with launch.on_device(x.device):
        conv_forward[(len(orders) * tiles * blocks * batch,)](
            x, taps, taps if bias is None else bias.contiguous(), out, *order_bits(orders),
            *x.shape, len(orders), *x.stride()[:2], **FORWARD, **_shared(x, weight, bias, silu, orders),
        )  # fmt: skip
    return out


def backward(
    x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, orders: tuple[Order, ...], dout: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x (in its type), weight and bias (float32) for `dout` (K, B, L, E)."""
    from .gpu import launch
    from .gpu.conv_kernel import conv_backward
    from .gpu.plan import order_bits

    x, dout, taps = _dense_rows(x), _dense_rows(dout), weight.transpose(1, 2).contiguous()
    tiles, blocks, batch = _tiles(x)
    dx = x.new_empty(x.shape)
    dweight = torch.empty(len(orders), batch, tiles, *taps.shape[1:], dtype=torch.float32, device=x.device)
    dbias = torch.empty(len(orders), batch, tiles, x.shape[-1], dtype=torch.float32, device=x.device)
    with launch.on_device(x.device):
        conv_backward[(tiles * blocks * batch,)](
            x, taps, taps if bias is None else bias.contiguous(), dout, dx, dweight, dbias,
            *order_bits(orders), *x.shape, len(orders), *x.stride()[:2], *dout.stride()[:3],
            **BACKWARD, **_shared(x, weight, bias, silu, orders, dout),
        )  # fmt: skip
    return dx, dweight.sum((1, 2)).transpose(1, 2).contiguous(), dbias.sum((1, 2))
