"""The GPU path: the scan in Triton kernels, parallel over channels and over segments of time.

Forward and backward each run in three steps: every segment's end state from a zero start, the composition of the
segments, then the full pass with the true start states (two-pass form: no division by a running decay, no waiting
between programs, no float atomics). The kernels are in `medmamba.scan.gpu`; nothing here imports Triton before a scan
runs. With TRITON_INTERPRET=1 they take CPU tensors too, step by step and slowly: that is for tests.
"""

import os
from functools import lru_cache
from importlib.util import find_spec

import torch
from torch import Tensor

from .gpu.plan import kept_shape as checkpoint_shape
from .inputs import ScanInputs

__all__ = ["backward", "checkpoint_shape", "forward", "usable"]

_OLDEST = (3, 3)  # before it, kernels know no tuples
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


@lru_cache(maxsize=1)
def _installed() -> bool:
    return find_spec("triton") is not None


@lru_cache(maxsize=1)
def _start() -> str:
    """Why Triton does not run here, if so. Asked once: it builds a small library with the machine's C compiler."""
    import triton

    if tuple(map(int, triton.__version__.split(".")[:2])) < _OLDEST:
        return f"Triton {triton.__version__} is older than {'.'.join(map(str, _OLDEST))}"
    try:
        _ = triton.runtime.driver.active.utils
    except Exception as error:  # no compiler, no header of Python, no libcuda: each another kind
        return f"Triton does not start: {(str(error).splitlines() or [type(error).__name__])[0][:120]}"
    return ""


def usable(device: torch.device, dtype: torch.dtype) -> str:
    """Empty when the kernels take tensors of this device and type, else the reason why not."""
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return "no GPU"
    if dtype not in _TYPES:
        return f"no {str(dtype).removeprefix('torch.')} on the GPU kernels"
    if not _installed():
        return "Triton is not installed"
    if device.type != "cuda":
        return ""
    if torch.version.hip:
        return "the kernels are made for NVIDIA's GPUs"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "the GPU is older than compute capability 8.0"
    return _start()


def forward(inputs: ScanInputs, keep_states: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (y (B, L, D) in u's type, last state (K, B, D, N), kept states or an empty tensor)."""
    from .gpu import launch

    return launch.forward(inputs, keep_states)


def backward(inputs: ScanInputs, kept: Tensor, dy: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of (u, delta, A, B, C, D, z, delta_bias) for `dy` (B, L, D); None for arguments that are None."""
    from .gpu import launch

    return launch.backward(inputs, kept, dy)
