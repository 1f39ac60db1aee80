"""mamba-ssm's CUDA kernel as a scan path: taken only when MEDMAMBA_SCAN=mamba-ssm asks for it, imported only then.

The kernel (Gu and Dao, arXiv 2312.00752) scans forwards along the last axis of (B, D, L) tensors, so this path copies
every tensor into that layout and into scan order, and its results back. `native_forward` and `native_backward` call it
on tensors that have the layout already. It sums the gradients of B and C in no fixed order: runs differ in the last
digits.
"""

import importlib.util
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from .inputs import ScanInputs
from .orders import Order

MODULE = "selective_scan_cuda"
_CHUNK = 2048
"""Steps between two states that the kernel keeps."""
_MOST_STATES = 256


def usable(device: torch.device, dtype: torch.dtype) -> str:
    """Empty for CUDA tensors of at most 32 bits where the kernel is installed. Nothing is imported to find out."""
    if device.type != "cuda":
        return "CUDA only"
    if dtype == torch.float64:
        return "it has no float64"
    return "" if importlib.util.find_spec(MODULE) else f"{MODULE} is not installed (pip install 'medmamba[mamba-ssm]')"


def checkpoint_shape(directions: int, batch: int, length: int, channels: int, states: int) -> tuple[int, ...]:
    """Shape (K, B, D, chunks, 2 N): for every chunk the product of the decays and the state at its end."""
    return directions, batch, channels, -(-length // _CHUNK), 2 * states


def native_forward(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None, z: Tensor | None,
    delta_bias: Tensor | None, delta_softplus: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(y before the gate (B, D, L), kept states (B, D, chunks, 2 N), y).

    u, delta, z: (B, D, L), last axis dense. B, C: (B, 1, N, L). All of one type but A, D and delta_bias: float32.
    """
    out, kept, *gated = import_module(MODULE).fwd(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    return out, kept, gated[0] if gated else out


def native_backward(
    dy: Tensor, kept: Tensor, out: Tensor | None, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor,
    D: Tensor | None, z: Tensor | None, delta_bias: Tensor | None, delta_softplus: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """Gradients of (u, delta, A, B, C, D, z, delta_bias). `out`: y before the gate, wanted only where there is a z."""
    du, ddelta, dA, dB, dC, dD, dbias, *rest = import_module(MODULE).bwd(
        u, delta, A, B, C, D, z, delta_bias, dy, kept, out, None, delta_softplus, False
    )
    dz = rest[0] if z is not None else None
    return du, ddelta, dA, dB, dC, dD if D is not None else None, dz, dbias if delta_bias is not None else None


def _io(dtype: torch.dtype) -> torch.dtype:
    """What the kernel computes in: float32 for float16, whose range the ungated output can exceed."""
    return torch.float32 if dtype == torch.float16 else dtype


def _native(x: Tensor, order: Order) -> Tensor:
    """(B, L, F) at positions -> (B, F, L) in scan order, dense."""
    return order.to_steps(x.to(_io(x.dtype))).transpose(1, 2).contiguous()


def _positions(x: Tensor, order: Order) -> Tensor:
    """(B, F, L) in scan order -> (B, L, F) at positions."""
    return order.to_positions(x.transpose(1, 2))


def _arguments(s: ScanInputs, k: int) -> tuple[Any, ...]:
    """What `native_forward` takes for direction number k; the gate is left out, because it follows the sum."""
    order = s.orders[k]
    D, bias = (None if x is None else x[k].contiguous() for x in (s.D, s.delta_bias))
    B, C = (_native(x[k], order)[:, None] for x in (s.B, s.C))
    return _native(s.u[k], order), _native(s.delta[k], order), s.A[k], B, C, D, None, bias, s.delta_softplus


def forward(s: ScanInputs, keep_states: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (y (B, L, D) in u's type, last states (K, B, D, N), kept states or an empty tensor)."""
    if s.A.shape[-1] > _MOST_STATES:
        raise ConfigError(
            f"mamba-ssm's kernel takes {_MOST_STATES} states at most, not {s.A.shape[-1]}.", "Unset MEDMAMBA_SCAN."
        )
    total, states = _sum(s)
    last = states[..., -1, 1::2].contiguous()
    if s.z is not None:
        total = total * F.silu(s.z.float())
    return total.to(s.u.dtype).contiguous(), last, states if keep_states else states.new_empty(0)


def _sum(s: ScanInputs) -> tuple[Tensor, Tensor]:
    """(sum of the directions before the gate (B, L, D) float32, kept states)."""
    total, kept = s.u.new_zeros(s.u.shape[1:], dtype=torch.float32), []
    for k, order in enumerate(s.orders):
        out, states, _ = native_forward(*_arguments(s, k))
        total += _positions(out, order)
        kept.append(states)
    return total, torch.stack(kept)


def backward(s: ScanInputs, kept: Tensor, dy: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of (u, delta, A, B, C, D, z, delta_bias) for `dy` (B, L, D); None for arguments that are None."""
    g0, dz = dy, None
    if s.z is not None:
        z, wide = s.z.float(), dy.float()
        gate = torch.sigmoid(z)
        g0 = (wide * z * gate).to(dy.dtype)
        dz = (wide * _sum(s)[0] * gate * (1 + z * (1 - gate))).to(s.z.dtype)
    each = [_one_backward(s, k, kept[k], g0) for k in range(len(s.orders))]
    wanted = (s.u, s.delta, s.A, s.B, s.C, s.D, None, s.delta_bias)
    stacked: list[Tensor | None] = [
        None if x is None else torch.stack(parts).to(x.dtype)
        for x, parts in zip(wanted, zip(*each, strict=True), strict=True)
    ]
    stacked[6] = dz
    return tuple(stacked)


def _one_backward(s: ScanInputs, k: int, kept: Tensor, g0: Tensor) -> tuple[Any, ...]:
    """Gradients of direction number k, at positions."""
    order = s.orders[k]
    du, ddelta, dA, dB, dC, dD, _, dbias = native_backward(_native(g0, order), kept, None, *_arguments(s, k))
    assert du is not None and ddelta is not None and dB is not None and dC is not None
    narrow = (_positions(x[:, 0], order) for x in (dB, dC))
    return _positions(du, order), _positions(ddelta, order), dA, *narrow, dD, None, dbias
