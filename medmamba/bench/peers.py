"""The scan as others do it, around the code of theirs that is installed or written out here in the same form.

All take the tensors of a `ScanCase` of one direction and give y (B, L, D). mamba-ssm's kernel is in `compositions`.
"""

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor
from torch.nn import functional as F

from .workloads import ScanCase

CHUNK = 16


def _same(x: Tensor) -> Tensor:
    return x


def _as_they_are(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(gradients)


@dataclass(frozen=True)
class Work:
    """What is timed: `call()` gives y, and the gradient of y . dy by `leaves` is the backward."""

    call: Callable[[], Tensor]
    leaves: dict[str, Tensor]
    dy: Tensor
    output: Callable[[Tensor], Tensor] = _same
    """y of `call` -> y (B, L, D)."""
    gradients: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = _as_they_are
    """Gradients of `leaves` -> gradients of the case's tensors."""


def _one_direction(scan: Callable[[dict[str, Tensor]], Tensor]) -> Callable[[ScanCase], Work]:
    """Work that gives direction 0 of a case, without the axis of directions, to `scan`."""

    def prepare(case: ScanCase) -> Work:
        leaves = case.single()
        return Work(lambda: scan(leaves), leaves, case.dy, gradients=_stacked)

    return prepare


def _stacked(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: x if name == "z" else x[None] for name, x in gradients.items()}


def _steps(s: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(d, d * u), float32, (B, L, D)."""
    d = F.softplus(s["delta"].float() + s["delta_bias"], threshold=20.0)
    return d, d * s["u"].float()


def _discrete(s: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """exp(d A) and d u B, each (B, L, D, N)."""
    d, du = _steps(s)
    return torch.exp(d[..., None] * s["A"]), du[..., None] * s["B"].float()[:, :, None]


def _finish(y: Tensor, s: dict[str, Tensor]) -> Tensor:
    """Skip and gate."""
    return ((y + s["D"] * s["u"].float()) * F.silu(s["z"].float())).to(s["u"].dtype)


def mambapy_absent() -> str:
    """Why mambapy cannot take part; empty when it can."""
    return "" if importlib.util.find_spec("mambapy") else "not installed: pip install 'medmamba[bench]'"


def _mambapy(s: dict[str, Tensor]) -> Tensor:
    states = import_module("mambapy.pscan").pscan(*_discrete(s))
    return _finish((states @ s["C"].float()[..., None]).squeeze(-1), s)


mambapy = _one_direction(_mambapy)
"""mambapy's parallel scan (Blelloch) over tensors of B * L * D * N."""


def _step_loop(s: dict[str, Tensor]) -> Tensor:
    decays, inputs = _discrete(s)
    h = torch.zeros_like(decays[:, 0])
    ys = []
    # unbind and not an index per step: the gradient of an index fills the whole tensor with zeros at every step
    for a, x, C in zip(decays.unbind(1), inputs.unbind(1), s["C"].float().unbind(1), strict=True):
        h = a * h + x
        ys.append((h @ C[..., None]).squeeze(-1))
    return _finish(torch.stack(ys, 1), s)


step_loop = _one_direction(_step_loop)
"""Decays and inputs for all steps at once, then one step after the other: the form of transformers' slow path."""


def compile_absent(device: torch.device, wanted: bool) -> str:
    """Why torch.compile cannot take part; empty when it can."""
    if not wanted:
        return "left out: its compiler takes long"
    if device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        return "no C++ compiler"
    return "" if device.type != "cuda" or importlib.util.find_spec("triton") else "no Triton"


def _chunk(h: Tensor, d: Tensor, du: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Sixteen steps from state h (B, D, N): (y (B, 16, D), state)."""
    ys = []
    for t in range(CHUNK):
        h = torch.exp(d[:, t, :, None] * A) * h + du[:, t, :, None] * B[:, t, None]
        ys.append((h * C[:, t, None]).sum(-1))
    return torch.stack(ys, 1), h


def compiled_chunk(case: ScanCase) -> Work:
    """torch.compile of sixteen steps, and a loop over the chunks of sixteen."""
    step = torch.compile(_chunk, dynamic=False, fullgraph=True)

    def scan(s: dict[str, Tensor]) -> Tensor:
        d, du = _steps(s)
        batch, length, channels = d.shape
        filled = [F.pad(x, (0, 0, 0, -length % CHUNK)) for x in (d, du, s["B"].float(), s["C"].float())]
        h = d.new_zeros(batch, channels, s["A"].shape[1]).requires_grad_()  # else the first chunk compiles anew
        ys = []
        for chunk in zip(*(x.split(CHUNK, 1) for x in filled), strict=True):
            y, h = step(h, chunk[0], chunk[1], s["A"], chunk[2], chunk[3])
            ys.append(y)
        return _finish(torch.cat(ys, 1)[:, :length], s)

    return _one_direction(scan)(case)
