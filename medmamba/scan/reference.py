"""The selective scan, one step after the other: the specification in code and the oracle of every other path.

Mathematics of Mamba-1 (Gu and Dao, arXiv 2312.00752), see `selective_scan` in this package for shapes and meaning.
Plain differentiable torch, any floating type; memory grows with L * D * N when gradients are wanted.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .orders import from_scan_order, to_scan_order


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of the scan's state for inputs of `dtype`: float64 for float64, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


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
    direction: str = "forward",
    nslices: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Scan step by step; returns (y (B, L, D) in u's type, last state (B, D, N)). Arguments as `selective_scan`."""
    work = state_dtype(u.dtype)

    def steps(x: Tensor) -> Tensor:
        return to_scan_order(x.to(work), direction, nslices)

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
    y = torch.stack(outputs, dim=1)
    if D is not None:
        y = y + D.to(work) * uw
    if z is not None:
        y = y * F.silu(steps(z))
    return from_scan_order(y, direction, nslices).to(u.dtype), h
