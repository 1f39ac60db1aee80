"""The selective scan, one step after the other: the specification in code and the oracle of every other path.

Mathematics of Mamba-1 (Gu and Dao, arXiv 2312.00752), see `selective_scan` in this package for shapes and meaning.
Plain differentiable torch, any floating type; memory grows with L * D * N when gradients are wanted.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .inputs import state_dtype
from .orders import Order


def selective_scan_reference(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    order: Order = Order(),  # noqa: B008 - frozen
) -> tuple[Tensor, Tensor]:
    """Scan step by step; returns (y (B, L, D) in u's type, last state (B, D, N)). Arguments as `selective_scan`."""
    work = state_dtype(u.dtype)

    def steps(x: Tensor) -> Tensor:
        return order.to_steps(x.to(work))

    uw, Bw, Cw, A = steps(u), steps(B), steps(C), A.to(work)
    d = steps(delta)
    if delta_bias is not None:
        d = d + delta_bias.to(work)
    if delta_softplus:
        d = F.softplus(d, threshold=20.0)

    h = uw.new_zeros(u.shape[0], u.shape[2], A.shape[1])
    outputs = []
    for i in range(u.shape[1]):
        h = torch.exp(d[:, i, :, None] * A) * h + (d[:, i] * uw[:, i])[..., None] * Bw[:, i, None, :]
        outputs.append((h * Cw[:, i, None, :]).sum(-1))
    y = torch.stack(outputs, dim=1) if outputs else torch.zeros_like(uw)
    if D is not None:
        y = y + D.to(work) * uw
    if z is not None:
        y = y * F.silu(steps(z))
    return order.to_positions(y).to(u.dtype), h
