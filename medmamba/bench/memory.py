"""Peak memory, measured: what a call needs while it runs, beyond what was there before it.

On CUDA torch's own counters say it. On a CPU the kernel does: the high-water mark of resident memory is reset before
the call and read after it. So that a freed block does not hide the next one, `child` runs with an allocator that gives
every block above 64 KiB back at once (glibc's variables, set before the process starts) and without huge pages.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}
"""Environment in which resident memory follows the blocks that are in use."""
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_NO_HUGE_PAGES = 41


def prepare_process() -> None:
    """Keep huge pages out of this process, where the system has them: they would round small blocks up to 2 MiB."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_HUGE_PAGES, 1, 0, 0, 0)


def _status(key: str) -> int:
    """Bytes under `key` of the process' status."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key + ":"))
    return int(line.split()[1]) * 1024


def _trim() -> None:
    """Give freed memory back to the system."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _reset_mark() -> bool:
    """Set the high-water mark down to what is resident now; False where the system has no such thing."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _highest() -> int:
    """The highest resident memory of this process so far, in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident() -> int:
    """Resident bytes of this process now, after freed memory went back."""
    _trim()
    return _status("VmRSS")


def measurable(device: torch.device) -> bool:
    """Whether this system lets us measure the memory of calls on `device`."""
    return device.type == "cuda" or (device.type == "cpu" and os.name == "posix")


def peak(call: Callable[[], Result], device: torch.device) -> tuple[Result, int]:
    """The result of `call` and the most bytes in use at any time during it, beyond those in use before it.

    The result itself is among them. Where the mark cannot be reset (no Linux), only what exceeds the highest mark so
    far is seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = call()
        torch.cuda.synchronize(device)
        return result, torch.cuda.max_memory_allocated(device) - before
    _trim()
    if _reset_mark():
        before = _status("VmRSS")
        result = call()
        return result, max(0, _status("VmHWM") - before)
    before = _highest()
    result = call()
    return result, _highest() - before


def in_use(device: torch.device) -> int:
    """Bytes in use on the device, or resident on a CPU."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else resident()


def size(*tensors: torch.Tensor | None) -> int:
    """Bytes of tensors, each counted as if alone."""
    return sum(x.numel() * x.element_size() for x in tensors if x is not None)
