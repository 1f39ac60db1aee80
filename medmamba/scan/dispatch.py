"""Which implementation runs a scan, and why.

Every path but the reference is a module with `forward`, `backward`, `checkpoint_shape` and `usable` (see `chunked`) and
stands in `PATHS`, best first. A new path is one module and one line here.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType

import torch

from ..errors import ConfigError
from . import chunked, cpu, mamba_ssm, triton

VARIABLE = "MEDMAMBA_SCAN"
REFERENCE = "reference"
_SLOW_FROM = 10**8
_assumed: ContextVar[str] = ContextVar("assumed scan path", default="")
_numbers_only: ContextVar[bool] = ContextVar("no torch operators around the paths", default=False)


@dataclass(frozen=True)
class Path:
    """One way to compute the scan."""

    name: str
    module: ModuleType
    why: str
    """Why it is taken when nothing better is usable."""
    only_when_asked: bool = False
    """Left out unless MEDMAMBA_SCAN names it."""

    @property
    def usable(self) -> Callable[[torch.device, torch.dtype], str]:
        """Empty when the path can take tensors of this device and type, else the reason why not."""
        return self.module.usable


@dataclass(frozen=True)
class Choice:
    """The path that was picked and the reason."""

    name: str
    why: str


PATHS: tuple[Path, ...] = (
    Path("cpu", cpu, "compiled kernels"),
    Path("triton", triton, "GPU kernels"),
    Path("mamba-ssm", mamba_ssm, "the CUDA kernel of that package", only_when_asked=True),
    Path("chunked", chunked, "plain torch, works on every device and floating type"),
)


def by_name(name: str) -> ModuleType:
    """The module of the path `name`; ConfigError for an unknown name."""
    for path in PATHS:
        if path.name == name:
            return path.module
    known = ", ".join([path.name for path in PATHS] + [REFERENCE])
    raise ConfigError(f"There is no scan path {name!r}.", f"Unset {VARIABLE} or set it to one of: {known}.")


def choose(device: torch.device, dtype: torch.dtype) -> Choice:
    """The best usable path for tensors of `device` and `dtype`; the variable MEDMAMBA_SCAN overrides it.

    Raises ConfigError when the variable names a path that does not exist or cannot take such tensors.
    """
    forced = os.environ.get(VARIABLE, "").strip().lower()
    if forced == REFERENCE:
        return Choice(REFERENCE, f"asked for by {VARIABLE}: step by step, slow")
    if forced:
        reason = by_name(forced).usable(device, dtype)
        if reason:
            raise ConfigError(f"{VARIABLE}={forced} cannot be used: {reason}.", f"Unset {VARIABLE}.")
        return Choice(forced, f"asked for by {VARIABLE}")
    skipped: list[str] = []
    for path in PATHS:
        if path.only_when_asked:
            continue
        reason = path.usable(device, dtype)
        if not reason:
            return Choice(path.name, "; ".join([path.why, *skipped]))
        skipped.append(f"not {path.name}: {reason}")
    raise ConfigError(f"No scan path takes {dtype} on {device}.", "Use float32, float64, bfloat16 or float16.")


def path_name(device: torch.device, dtype: torch.dtype) -> str:
    """The name of the path that `choose` picks; torch.compile takes it for a constant instead of looking inside."""
    return _assumed.get() or choose(device, dtype).name


# What torch.compiler.assume_constant_result sets, without the seconds that its import of the compiler takes.
path_name._dynamo_marked_constant = True  # type: ignore[attr-defined]


@contextmanager
def assume(name: str) -> Iterator[None]:
    """Have calls on fake tensors take the path `name` unasked, as if the device that it needs were here."""
    token = _assumed.set(name)
    try:
        yield
    finally:
        _assumed.reset(token)


@contextmanager
def numbers_only() -> Iterator[None]:
    """Have calls go to their path at once instead of through a torch operator.

    For inference: the first call of such an operator imports torch's compiler, which takes a second and more. Nobody
    may ask for gradients, graphs or fake tensors inside.
    """
    token = _numbers_only.set(True)
    try:
        yield
    finally:
        _numbers_only.reset(token)


def wants_numbers_only() -> bool:
    """Whether this call is made inside of `numbers_only`."""
    return _numbers_only.get()


wants_numbers_only._dynamo_marked_constant = True  # type: ignore[attr-defined]


def explain(device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> str:
    """One line for people: the path that a scan on `device` takes and why."""
    choice = choose(torch.device(device), dtype)
    return f"{choice.name} ({choice.why})"


def warn_if_slow(path: str, device: torch.device, elements: int) -> None:
    """Say once that a large scan runs in plain torch on a CPU although a compiled library exists for it."""
    if path == chunked.__name__.rpartition(".")[2] and device.type == "cpu" and elements > _SLOW_FROM:
        warnings.warn(
            "A large selective scan runs in plain torch, many times slower than compiled: see `medmamba doctor`.",
            RuntimeWarning,
            stacklevel=4,
        )
