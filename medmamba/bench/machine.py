"""What bounds a scan on this machine: how many exponentials and how many bytes a second, measured."""

import importlib.util
import platform
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib import import_module, metadata
from typing import Any

import torch

from .. import __version__, runtime
from .timing import timed
from .workloads import Workload

_COPY = 2**28
"""Bytes of the block that is copied: larger than any cache."""
_IN_CACHE = 2**12
"""Numbers whose exponentials are taken where no compiled probe is at hand: they stay in the first cache."""


@dataclass(frozen=True)
class Limits:
    """The two rates that bound a scan."""

    exps: float
    """Exponentials a second, all cores in use (or the whole GPU)."""
    exps_by: str
    """How that was measured."""
    bandwidth: float
    """Bytes a second, read and written, of a copy."""

    def forward(self, shape: Workload, directions: int, bytes_each: int) -> float:
        """Seconds below which no forward of this shape gets: every exp once, every tensor through memory once."""
        return self._bound(shape, directions, bytes_each * _numbers(shape, directions, backward=False))

    def backward(self, shape: Workload, directions: int, bytes_each: int) -> float:
        """The same of a backward, which derives the states again and also writes the gradients."""
        return self._bound(shape, directions, bytes_each * _numbers(shape, directions, backward=True))

    def _bound(self, shape: Workload, directions: int, moved: int) -> float:
        return max(directions * shape.elements() / self.exps, moved / self.bandwidth)


def _numbers(shape: Workload, directions: int, backward: bool) -> int:
    """How many numbers a scan must read and write: u, delta, B, C of each direction; z and y once."""
    wide, narrow = shape.batch * shape.length * shape.channels, shape.batch * shape.length * shape.states
    once, each = (4, 4) if backward else (2, 2)  # backward: z, y's gradient, z's gradient, and y's sum again
    return directions * each * (wide + narrow) + once * wide


def limits(device: torch.device, threads: int, seconds: float = 0.2) -> Limits:
    """Measure for about twice `seconds`."""
    exps, how = _cuda_exps(device, seconds) if device.type == "cuda" else _cpu_exps(threads, seconds)
    return Limits(exps, how, _bandwidth(device, seconds))


def _bandwidth(device: torch.device, seconds: float) -> float:
    source = torch.ones(_COPY // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until or best == float("inf"):
        best = min(best, timed(lambda: target.copy_(source), device)[1])
    return 2 * _COPY / best


def _cpu_exps(threads: int, seconds: float) -> tuple[float, str]:
    """The compiled library's own exponential in registers, else torch's in the cache; one core, times `threads`."""
    try:
        probe = getattr(import_module("medmamba.kernels.library"), "exp_rate", None)
    except ImportError:
        probe = None
    rate = probe(seconds) if probe else 0.0
    if rate:
        return rate * threads, f"our exp in registers, one core, times {threads}"
    return _torch_exps(seconds) * threads, f"torch.exp in the cache, one core, times {threads}"


def _torch_exps(seconds: float) -> float:
    x = torch.linspace(-20, 0, _IN_CACHE)  # too few numbers for torch to share out among threads
    out = torch.empty_like(x)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until or best == float("inf"):
        started = time.perf_counter()
        for _ in range(100):
            torch.exp(x, out=out)
        best = min(best, time.perf_counter() - started)
    return 100 * _IN_CACHE / best


def _exps_in_memory(device: torch.device) -> float:
    x = torch.linspace(-20, 0, _COPY // 4, device=device)
    return x.numel() / min(timed(lambda: torch.exp(x), device)[1] for _ in range(5))


def _cuda_exps(device: torch.device, seconds: float) -> tuple[float, str]:
    if importlib.util.find_spec("triton") is None:
        return _exps_in_memory(device), "torch.exp on tensors in memory, for want of Triton"
    from .probe import exp_rate

    return exp_rate(device, seconds), "exp2 in registers, Triton"


def describe(device: torch.device, threads: int) -> dict[str, Any]:
    """Machine and versions, for people who read the figures later."""
    versions = {"medmamba": __version__, "python": platform.python_version(), "torch": torch.__version__}
    for peer in ("triton", "mambapy", "mamba-ssm", "dynamic-network-architectures"):
        try:
            versions[peer] = metadata.version(peer)
        except metadata.PackageNotFoundError:
            continue
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else f"{runtime.cpu_name()} ({device})",
        "gpu": on_gpu,
        "threads": threads,
        "cpu_flags": list(runtime.cpu_flags()),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions,
    }


def limits_json(found: Limits) -> dict[str, Any]:
    """The limits as plain numbers."""
    return asdict(found)
