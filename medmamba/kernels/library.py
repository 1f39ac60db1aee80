"""Loads the compiled CPU library, when it was built, and says why not when it cannot be used.

The library is optional: every kernel has a twin in plain torch that is taken when `load()` returns None.
"""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from ..errors import ConfigError

VARIABLE = "MEDMAMBA_KERNELS"
LEVELS = ("portable", "avx2", "avx512")
_WIDTHS = {"portable": 4, "avx2": 8, "avx512": 16}
_FOLDER = Path(__file__).parent


def _file() -> Path | None:
    return next((path for pattern in ("_cpu*.so", "_cpu*.dylib") for path in sorted(_FOLDER.glob(pattern))), None)


@cache
def _open() -> tuple[ctypes.CDLL | None, str]:
    """(library, "") or (None, reason)."""
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if wanted not in ("", "off", *LEVELS):
        raise ConfigError(f"There is no {VARIABLE}={wanted}.", f"Unset it or use off, {', '.join(LEVELS)}.")
    if wanted == "off":
        return None, f"switched off by {VARIABLE}"
    path = _file()
    if path is None:
        return None, "not built: install with a C++ compiler (g++ or clang++) at hand"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return None, f"{path.name} does not load: {error}"
    library.mm_isa.restype = ctypes.c_char_p
    library.mm_exp_stream.restype = ctypes.c_float
    library.mm_exp_stream.argtypes = [ctypes.c_int64]
    library.mm_exp_stream_numbers.restype = ctypes.c_int64
    library.mm_exp_stream_numbers.argtypes = [ctypes.c_int64]
    _share_threads(library)
    if wanted and not library.mm_use(LEVELS.index(wanted)):
        raise ConfigError(f"{VARIABLE}={wanted}: this CPU or build does not have it.", f"Unset {VARIABLE}.")
    return library, ""


def _share_threads(library: ctypes.CDLL) -> None:
    """Run the kernels on torch's own OpenMP threads, so that two pools do not fight for the same cores.

    GNU's and LLVM's runtimes both offer GOMP_parallel; without it the library starts threads of its own in each call.
    """
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*")):
        try:
            library.mm_use_openmp(ctypes.cast(ctypes.CDLL(str(path)).GOMP_parallel, ctypes.c_void_p))
        except (OSError, AttributeError):
            continue
        return


def load() -> ctypes.CDLL | None:
    """The library, None where it is not built, does not load or is switched off (MEDMAMBA_KERNELS=off)."""
    return _open()[0]


def why_not() -> str:
    """Why `load` returns None; empty when it does not."""
    return _open()[1]


def call(name: str, arguments: ctypes.Structure) -> None:
    """Run a function of the library on an argument block; the library must be there (see `load`)."""
    library = load()
    assert library is not None, why_not()
    getattr(library, name)(ctypes.byref(arguments))


def isa() -> str:
    """The instruction set in use, one of `LEVELS`; empty without the library."""
    library = load()
    return library.mm_isa().decode() if library else ""


def width() -> int:
    """Floats in a vector of the instruction set in use; 1 without the library."""
    return _WIDTHS.get(isa(), 1)


@contextmanager
def using(level: str) -> Iterator[None]:
    """Within it the kernels of another instruction set run; ConfigError where this machine does not have it."""
    library, before = load(), isa()
    if library is None or not library.mm_use(LEVELS.index(level)):
        raise ConfigError(f"The kernels for {level} cannot run here.", "See `medmamba doctor`.")
    try:
        yield
    finally:
        library.mm_use(LEVELS.index(before))


def exp_rate(seconds: float = 0.1) -> float:
    """Exponentials per second that one core does in registers with the scan's own polynomial; 0 without the library."""
    library = load()
    if library is None:
        return 0.0
    rounds = 1 << 14
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        library.mm_exp_stream(rounds)
        best = max(best, library.mm_exp_stream_numbers(rounds) / (time.perf_counter() - start))
    return best


def describe() -> str:
    """One line for people: the instruction set, or why there is none."""
    return f"compiled kernels for {isa()}" if load() else f"no compiled kernels: {why_not()}"
