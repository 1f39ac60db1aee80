"""What this machine has, what it lacks, and the command that mends it."""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from . import __version__, runtime
from .data.folders import Folders

_NEEDED = (
    "torch", "nnunetv2", "numpy", "scipy", "SimpleITK", "nibabel",
    "matplotlib", "typer", "rich", "pydantic", "safetensors",
)  # fmt: skip
_OPTIONAL = {"triton": "GPU kernels; nothing is lost on a CPU", "timm": "stock nnU-Net's trainer look-up imports it"}
_GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "note", "bad"]
    """note: works, but something is worth knowing; bad: medmamba does not work so."""
    found: str
    fix: str = ""
    """The command or step that mends it."""

    def as_json(self) -> dict[str, Any]:
        """The finding for a JSON list."""
        return asdict(self)


def examine(folders: Folders) -> list[Finding]:
    """Everything worth knowing about this machine, in the order in which a person would ask."""
    return [
        Finding("medmamba", "ok", f"{__version__} in {Path(__file__).parent}"),
        Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        _torchvision(),
        *_devices(),
        *_scan(),
        _shared_memory(),
        *_places(folders),
    ]


def _packages() -> Iterator[Finding]:
    for name in _NEEDED:
        version = _version(name)
        if version:
            yield Finding(name, "ok", version)
        else:
            yield Finding(name, "bad", "missing", f"{sys.executable} -m pip install {name}")
    for name, purpose in _OPTIONAL.items():
        version = _version(name)
        yield Finding(name, "ok", version) if version else Finding(name, "note", f"not installed ({purpose})")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _torchvision() -> Finding:
    """Stock nnU-Net's look-up of any trainer but its default imports torchvision; medmamba itself never does."""
    version = _version("torchvision")
    if not version:
        return Finding("torchvision", "note", "not installed (only stock nnU-Net commands use it)")
    try:
        extension = import_module("torchvision.extension")
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        fix = "install the torchvision build that fits this torch; in a checkout: make venv"
        return Finding(
            "torchvision", "note", f"{version} does not load, which stops stock nnU-Net commands: {reason}", fix
        )
    whole = extension._has_ops()
    return Finding("torchvision", "ok", version if whole else f"{version}, imports without its compiled operators")


def _devices() -> Iterator[Finding]:
    flags = ", ".join(runtime.cpu_flags()) or "no vector units that the system tells of"
    yield Finding("cpu", "ok", f"{runtime.cpu_name()}, {runtime.cpu_count()} cores, {flags}")
    if not _version("torch"):
        return
    import torch

    threads = torch.get_num_threads()
    state: Literal["ok", "note"] = "ok" if threads <= runtime.cpu_count() else "note"
    fix = "" if state == "ok" else f"export OMP_NUM_THREADS={runtime.cpu_count()}"
    yield Finding(
        "threads", state, f"torch uses {threads}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}", fix
    )
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        yield Finding(f"cuda:{index}", "ok", f"{card.name}, {card.total_memory / _GIB:.0f} GiB")
    if torch.backends.mps.is_available():
        yield Finding("mps", "ok", "Apple GPU")
    if not torch.cuda.is_available():
        build = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        yield Finding("cuda", "note", f"no GPU in reach ({build}): small presets train in minutes, full ones in days")


def _scan() -> Iterator[Finding]:
    if not _version("torch"):
        return
    import torch

    from .kernels import library
    from .scan import explain

    if library.load():
        yield Finding("compiled kernels", "ok", library.isa())
    else:
        again = "pip install --force-reinstall --no-deps --no-binary medmamba medmamba"
        fix = f"install a C++ compiler (g++ or clang++), then {again}"
        switched_off = library.VARIABLE in library.why_not()
        yield Finding(
            "compiled kernels",
            "note",
            f"{library.why_not()}; a scan on the CPU runs in plain torch, many times slower",
            f"unset {library.VARIABLE}" if switched_off else fix,
        )

    for name in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        yield Finding(f"scan on {name}", "ok", explain(device=name))


def _shared_memory() -> Finding:
    free = runtime.shared_memory()
    if free is None:
        return Finding("shared memory", "ok", "this system has no /dev/shm")
    found = f"{free / _GIB:.1f} GiB free in /dev/shm"
    if free >= _GIB:
        return Finding("shared memory", "ok", found)
    fix = "docker run --shm-size=8g ..., else export nnUNet_n_proc_DA=0 before training"
    return Finding("shared memory", "note", f"{found}: worker processes of training may die", fix)


def _places(folders: Folders) -> Iterator[Finding]:
    for name, folder in asdict(folders).items():
        variable = f"nnUNet_{name}"
        source = "set" if os.environ.get(variable) else "not set, so this default"
        free = runtime.free_disk(folder) / _GIB
        there = "" if folder.is_dir() else ", made when needed"
        found = f"{folder} ({variable} {source}{there}), {free:.0f} GiB free"
        low = free < 5
        yield Finding(name, "note" if low else "ok", found, f"free some space or set {variable}" if low else "")
