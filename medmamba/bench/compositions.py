"""Three directions from forward scans and copies, as the forks of mamba-ssm do it; and mamba-ssm's kernel itself.

The kernel is given the (B, D, L) tensors that it wants: the copies that bring a network's tensors there are not timed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..scan import from_scan_order, mamba_ssm, to_scan_order
from .peers import Work
from .workloads import ScanCase

_NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
_COMPUTED_IN_ORDER = ("delta", "B", "C")
"""What a layer of the forks computes after the input was copied into scan order; given in it, so not copied in time."""


@dataclass(frozen=True)
class Layout:
    """How an implementation wants the tensors of one direction."""

    leaf: Callable[[str, Tensor], Tensor]
    """A tensor (B, L, F), or a parameter, by name -> the leaf that is handed over."""
    back: Callable[[str, Tensor], Tensor]
    """A leaf's gradient -> the gradient of the tensor."""
    rows: Callable[[Tensor], Tensor]
    """A view of u, z or y as (B, L, D); its own inverse."""

    def turned(self, x: Tensor, turn: Callable[..., Tensor], order: tuple[str, int]) -> Tensor:
        """`turn` along the positions, dense; `x` itself for the forward order."""
        return x if order[0] == "forward" else self.rows(turn(self.rows(x), *order)).contiguous()


def _turn_last(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


def _native(name: str, x: Tensor) -> Tensor:
    x = x.detach()
    if x.dim() == 3:
        x = x.transpose(1, 2)
    return (x[:, None] if name in ("B", "C") else x).contiguous().requires_grad_()


def _from_native(name: str, x: Tensor) -> Tensor:
    x = x[:, 0] if name in ("B", "C") else x
    return x.transpose(1, 2) if x.dim() == 3 else x


ROWS = Layout(lambda name, x: x.detach().requires_grad_(), lambda name, x: x, lambda x: x)
"""Our (B, L, D)."""
NATIVE = Layout(_native, _from_native, _turn_last)
"""mamba-ssm's (B, D, L), and (B, 1, N, L) for B and C."""

Scan = Callable[[dict[str, Tensor]], Tensor]
"""The tensors of one direction by name, in a layout -> y."""


def flip_and_copy(scan: Scan, layout: Layout = ROWS) -> Callable[[ScanCase], Work]:
    """K forward scans: input and gate are copied into scan order, the gated output is copied back, the sum is taken."""

    def prepare(case: ScanCase) -> Work:
        orders = [(direction, case.nslices) for direction in case.directions]
        leaves = _leaves(case, orders, layout)

        def one(k: int) -> Tensor:
            own = {name: leaves[name if name == "z" else f"{name}{k}"] for name in _NAMES}
            own |= {name: layout.turned(own[name], to_scan_order, orders[k]) for name in ("u", "z")}
            return layout.turned(scan(own), from_scan_order, orders[k])

        def call() -> Tensor:
            total = one(0)
            for k in range(1, len(orders)):
                total = total + one(k)
            return total

        def gradients(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: _gathered(name, found, orders, layout) for name in _NAMES}

        return Work(call, leaves, layout.rows(case.dy).contiguous(), layout.rows, gradients)

    return prepare


def _leaves(case: ScanCase, orders: list[tuple[str, int]], layout: Layout) -> dict[str, Tensor]:
    """Leaves of each direction under their name and number; z alone is shared."""
    leaves = {"z": layout.leaf("z", case.tensors["z"])}
    for k, order in enumerate(orders):
        for name, x in case.single(k).items():
            if name in _COMPUTED_IN_ORDER:
                x = to_scan_order(x, *order)
            if name != "z":
                leaves[f"{name}{k}"] = layout.leaf(name, x)
    return leaves


def _gathered(name: str, found: Mapping[str, Tensor], orders: list[tuple[str, int]], layout: Layout) -> Tensor:
    """The gradient of the stacked tensor `name` from those of `_leaves`."""
    if name == "z":
        return layout.back(name, found[name])
    parts = [layout.back(name, found[f"{name}{k}"]) for k in range(len(orders))]
    if name in _COMPUTED_IN_ORDER:
        parts = [from_scan_order(x, *order) for x, order in zip(parts, orders, strict=True)]
    return torch.stack(parts)


class _Kernel(torch.autograd.Function):
    """mamba-ssm's compiled forward and backward on tensors of its own layout, in the order of `_NAMES`."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        u, delta, A, B, C, D, z, bias = tensors
        out, kept, gated = mamba_ssm.native_forward(u, delta, A, B, C, D, z, bias, True)
        ctx.save_for_backward(*tensors, kept, out)
        return gated

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, D, z, bias, kept, out = ctx.saved_tensors
        return mamba_ssm.native_backward(dy.contiguous(), kept, out, u, delta, A, B, C, D, z, bias, True)


def _kernel_scan(tensors: dict[str, Tensor]) -> Tensor:
    y: Tensor = _Kernel.apply(*(tensors[name] for name in _NAMES))
    return y


kernel = flip_and_copy(_kernel_scan, NATIVE)
"""mamba-ssm's CUDA kernel: one direction as it is, several around flipped and permuted copies."""
