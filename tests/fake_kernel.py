"""A stand-in for mamba-ssm's compiled module: its calling convention and its demands, computed by our reference."""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medmamba.scan import mamba_ssm, selective_scan_reference


def _check(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, *more: Tensor | None) -> None:
    """What the CUDA code checks before it runs."""
    batch, channels, length = u.shape
    states = A.shape[1]
    assert delta.shape == u.shape and A.shape == (channels, states) and A.dtype == torch.float32
    assert B.shape == C.shape == (batch, 1, states, length)
    assert {x.dtype for x in (delta, B, C)} == {u.dtype} <= {torch.float32, torch.bfloat16, torch.float16}
    assert all(x.stride(-1) == 1 or x.shape[-1] == 1 for x in (u, delta, B, C, *more) if x is not None)


def _scan(u, delta, A, B, C, D, z, bias, softplus):  # type: ignore[no-untyped-def]
    """(y before the gate, y, last state), float32, (B, D, L)."""
    rows = [x.float().transpose(-1, -2) for x in (u, delta, B[:, 0], C[:, 0])]
    y, last = selective_scan_reference(rows[0], rows[1], A, rows[2], rows[3], D, None, bias, softplus)
    y = y.transpose(1, 2)
    return y, y if z is None else y * F.silu(z.float()), last


def fwd(u, delta, A, B, C, D, z, bias, softplus) -> list[Tensor]:  # type: ignore[no-untyped-def]
    """[y before the gate, kept states (B, D, chunks, 2 N), y where there is a gate]."""
    _check(u, delta, A, B, C, z)
    out, y, last = _scan(u, delta, A, B, C, D, z, bias, softplus)
    kept = torch.zeros(*u.shape[:2], -(-u.shape[2] // 2048), 2 * A.shape[1])
    kept[:, :, -1, 1::2] = last
    return [out.to(u.dtype), kept, *([] if z is None else [y.to(u.dtype)])]


def bwd(u, delta, A, B, C, D, z, bias, dy, kept, out, dz, softplus, recompute) -> list[Any]:  # type: ignore[no-untyped-def]
    """[du, ddelta, dA, dB, dC, dD, dbias, dz where there is a gate]."""
    _check(u, delta, A, B, C, z, dy)
    assert kept.shape == (*u.shape[:2], -(-u.shape[2] // 2048), 2 * A.shape[1])
    assert dz is None and recompute is False and (z is None or out is not None)
    leaves = [None if x is None else x.detach().requires_grad_() for x in (u, delta, A, B, C, D, z, bias)]
    with torch.enable_grad():
        y = _scan(*leaves, softplus)[1]
    wanted = [x for x in leaves if x is not None]
    found = iter(torch.autograd.grad(y, wanted, dy.float()))
    *most, of_z, of_bias = [None if x is None else next(found) for x in leaves]
    return [*most, of_bias, *([] if of_z is None else [of_z])]


@pytest.fixture
def fake_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in is installed."""
    module = ModuleType(mamba_ssm.MODULE)
    module.fwd, module.bwd = fwd, bwd  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, mamba_ssm.MODULE, module)
