"""The compiled CPU path: calls the optional library (`medmamba.kernels`), one direction after the other.

Directions are found by address, B, C and z are read where they lie; nothing is copied, and the memory needed beside the
result is a few numbers per channel and state. float32 and bfloat16 tensors; the state is float32.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..kernels import library
from ..kernels.arguments import ScanArguments, dtype_code
from .inputs import ScanInputs

BLOCK = 32  # steps between two kept states
_LONG = 4096  # steps a segment must have to be worth a second pass
_SMALL = 1 << 17  # elements below which threads cost more than they bring


def usable(device: torch.device, dtype: torch.dtype) -> str:
    """Empty for float32 and bfloat16 on a CPU where the library is built."""
    if device.type != "cpu":
        return "it runs on CPUs only"
    if dtype_code(dtype) is None:
        return f"it takes float32 and bfloat16, not {dtype}".replace("torch.", "")
    return library.why_not()


def checkpoint_shape(directions: int, batch: int, length: int, channels: int, states: int) -> tuple[int, ...]:
    """Shape (K, B, blocks, N, D) of the states that the forward keeps for the backward."""
    return directions, batch, -(-length // BLOCK), states, channels


def _threads(s: ScanInputs) -> int:
    return 1 if s.u[0].numel() * s.A.shape[-1] < _SMALL else torch.get_num_threads()


def _segments(s: ScanInputs, threads: int) -> int:
    """Parts of the sequence to scan side by side: more than one when channels alone cannot keep the threads busy."""
    _, batch, length, channels, _ = s.sizes
    tasks = batch * -(-channels // library.width())
    return max(1, min(-(-threads // tasks), length // _LONG)) if 0 < tasks < threads else 1


def _fields(s: ScanInputs, k: int, threads: int) -> dict[str, Any]:
    """What forward and backward of direction k have in common."""
    _, batch, length, channels, states = s.sizes
    fields: dict[str, Any] = {
        "batch": batch, "length": length, "channels": channels, "states": states,
        "dtype": dtype_code(s.u.dtype), "softplus": s.delta_softplus, "threads": threads,
        "slices": s.orders[k].slices, "reverse": s.orders[k].reverse, "A": s.A[k],
        "D": None if s.D is None else s.D[k], "bias": None if s.delta_bias is None else s.delta_bias[k],
        "z": s.z, "first": k == 0, "finish": k == len(s.orders) - 1,
    }  # fmt: skip
    if s.z is not None:
        fields |= {"z_batch": s.z.stride(0), "z_row": s.z.stride(1)}
    for name, x in (("u", s.u), ("delta", s.delta), ("B", s.B), ("C", s.C)):
        fields |= {name: x[k], f"{name}_batch": x.stride(1), f"{name}_row": x.stride(2)}
    return fields


def _ready(s: ScanInputs) -> ScanInputs:
    """Parameters as dense float32, rows of the tensors dense."""

    def parameter(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.float().contiguous()

    A = s.A.float().contiguous()
    return replace(s.with_dense_rows(), A=A, D=parameter(s.D), delta_bias=parameter(s.delta_bias))


def forward(s: ScanInputs, keep_states: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (y (B, L, D) in u's type, last states (K, B, D, N), kept states or an empty tensor)."""
    s = _ready(s)
    directions, batch, _, channels, states = s.sizes
    threads = _threads(s)
    segments = _segments(s, threads)
    y = s.u.new_empty(s.u.shape[1:])
    last = s.u.new_empty(directions, batch, channels, states, dtype=torch.float32)
    kept = s.u.new_empty(checkpoint_shape(*s.sizes) if keep_states else (0,), dtype=torch.float32)
    total = None
    if directions > 1 or segments > 1:
        total = y if y.dtype == torch.float32 else torch.empty_like(y, dtype=torch.float32)
    for k in range(directions):
        own = ScanArguments(
            **_fields(s, k, threads),
            y=y,
            sum=total,
            last=last[k],
            kept=kept[k] if keep_states else None,
            segments=segments,
        )
        library.call("mm_scan_forward", own)
    return y, last, kept


def backward(s: ScanInputs, kept: Tensor, dy: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of (u, delta, A, B, C, D, z, delta_bias) for `dy` (B, L, D); None for arguments that are None."""
    types = [None if x is None else x.dtype for x in (s.A, s.D, s.delta_bias)]
    s = _ready(s)
    directions, batch, length, channels, states = s.sizes
    dy = dy.to(s.u.dtype)
    dy = dy if dy.stride(-1) == 1 else dy.contiguous()
    threads = _threads(s)
    groups = min(-(-channels // library.width()), -(-threads // max(batch, 1)))

    def floats(*shape: int) -> Tensor:
        return s.u.new_empty(shape, dtype=torch.float32)

    du, ddelta = (x.new_empty(x.shape) for x in (s.u, s.delta))
    dA, dD, dbias = floats(directions, batch, channels, states), *(floats(directions, batch, channels) for _ in "Db")
    parts = floats(2, groups, batch, length, states)
    dB, dC = s.B.new_empty(s.B.shape), s.C.new_empty(s.C.shape)
    dz = None if s.z is None else floats(*s.z.shape)
    for k in range(directions):
        own: dict[str, Any] = {
            "kept": kept[k], "dy": dy, "dy_batch": dy.stride(0), "dy_row": dy.stride(1), "groups": groups,
            "du": du[k], "ddelta": ddelta[k], "dz": dz, "dA": dA[k], "dD": dD[k], "dbias": dbias[k],
            "dB": parts[0], "dC": parts[1],
        }  # fmt: skip
        library.call("mm_scan_backward", ScanArguments(**_fields(s, k, threads), **own))
        dB[k], dC[k] = parts[0].sum(0), parts[1].sum(0)

    def summed(x: Tensor, dtype: torch.dtype | None) -> Tensor | None:
        return None if dtype is None else x.sum(1).to(dtype)

    dz = None if dz is None or s.z is None else dz.to(s.z.dtype)
    sums = [summed(x, dtype) for x, dtype in zip((dA, dD, dbias), types, strict=True)]
    return du, ddelta, sums[0], dB, dC, sums[1], dz, sums[2]
