"""What the machine at hand has: devices, CPU units, cores, memory and disk."""

import os
import platform
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import SetupError

if TYPE_CHECKING:
    import torch

_CGROUP = Path("/sys/fs/cgroup")
_FLAGS_THAT_MATTER = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16")


def device(name: str = "auto") -> "torch.device":
    """The torch device of that name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises SetupError when the device was asked for by name and is not there.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    gpus = torch.cuda.device_count()
    here = ["cpu", *(f"cuda:{number}" for number in range(gpus)), *["mps"] * has_mps]
    names = f"On this machine there is {', '.join(here)}; auto takes the best."
    try:
        wanted = torch.device(name)
    except RuntimeError as error:
        raise SetupError(f"There is no device {name!r}.", names) from error
    there = {"cpu": True, "mps": has_mps, "cuda": (wanted.index or 0) < gpus}
    if not there.get(wanted.type, False):
        raise SetupError(f"Device {name!r} is not available here.", names)
    return wanted


@cache
def cpu_flags() -> tuple[str, ...]:
    """The vector and matrix units of this CPU that medmamba makes use of. Empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    line = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    present = set(line.partition(":")[2].split())
    return tuple(flag for flag in _FLAGS_THAT_MATTER if flag in present)


def cpu_name() -> str:
    """The CPU's name as its maker writes it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def cpu_count() -> int:
    """Cores this process may use: its affinity, cut down to the container's CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return cores


def share_cores() -> None:
    """Let threads sleep while they wait for each other. To be called before torch is imported.

    By default they spin, and a spinning thread keeps the one it waits for from running when other processes are busy:
    a little is lost on a quiet machine, many times as much is won on a busy one. A value that the user has set stays.
    """
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def take_large_pages() -> None:
    """Let torch ask for large pages for its tensors (Linux). To be called before torch is imported.

    Each first touch of a small page is a call into the kernel; on feature maps of 100 MB these calls take about as long
    as a third of the work itself. A value that the user has set stays.

    Not for training: what a step keeps for its backward comes and goes in other orders, large pages leave holes in the
    heap that grow from step to step, and the model of a step's memory would not hold. Maps below 32 MB stay in the heap
    and need no such calls, so small networks lose; wide ones would gain about a tenth of a step.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def shared_memory() -> int | None:
    """Free bytes in /dev/shm, through which data-loading processes pass batches; None where there is no such thing."""
    return shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else None


def free_disk(folder: Path) -> int:
    """Free bytes on the disk of `folder`, or of its nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def free_memory(device: "torch.device | None" = None) -> int | None:
    """Free bytes of memory of a CUDA device, else of the host; None where the system does not tell.

    The host's is what the system can give without swapping, cut down to what the container's limit leaves.
    """
    if device is not None and device.type == "cuda":
        import torch

        # what torch's allocator holds and does not use is free to us, too
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    known = [size for size in (_available(), _left_to_container()) if size is not None]
    return min(known, default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _left_to_container() -> int | None:
    """What the limits on this process' control groups (v2 or v1) leave; None without a limit.

    A batch system sets them on an inner group, a container on what looks like the root. Cached files count as free, for
    they give way.
    """
    left = [
        _left(folder / limit, folder / used, cached)
        for version, (limit, used, cached) in _LIMITS.items()
        for folder in _groups(version)
    ]
    return min((size for size in left if size is not None), default=None)


_LIMITS = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def _groups(controller: str) -> list[Path]:
    """The folders of this process' control group and of those around it."""
    root = _CGROUP / controller
    try:
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return [root]
    inner = next((path for _, names, path in lines if controller in names.split(",")), "/")
    parts = [part for part in inner.split("/") if part not in ("", "..")]
    return [root.joinpath(*parts[:count]) for count in range(len(parts) + 1)]


def _left(limit: Path, used: Path, cached: str) -> int | None:
    try:
        free = int(limit.read_text()) - int(used.read_text())
        statistics = limit.with_name("memory.stat").read_text().split()
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
    return max(0, free + int(statistics[statistics.index(cached) + 1] if cached in statistics else 0))
