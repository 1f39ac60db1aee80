"""In which number format a network runs: chosen once, with the reason in words."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .. import runtime
from ..errors import ConfigError
from .accelerate import best_dtype

_BF16_UNITS = ("amx_bf16", "avx512_bf16")
_WORTH_IT = 0.9
"""bf16 on a CPU has to take less than this share of the time of fp32, since it costs digits."""


@dataclass(frozen=True)
class Precision:
    """A number format for autocast and why it was taken."""

    dtype: torch.dtype | None
    """None: float32 without autocast."""
    reason: str

    @property
    def scaled(self) -> bool:
        """Whether training needs a loss scaler: float16 only, whose range is too small for gradients."""
        return self.dtype is torch.float16

    @property
    def name(self) -> str:
        """fp32, bf16 or fp16."""
        return {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype]

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose(
    requested: str, device: torch.device, trial: Callable[[torch.dtype | None], float] | None = None
) -> Precision:
    """The precision for a device.

    Parameters
    ----------
    requested: "fp32", "bf16", "fp16", or "auto": bf16 on GPUs that have it, else fp16; on a CPU with bf16 matrix units
        bf16 if `trial` finds it faster; fp32 everywhere else.
    trial: seconds of one training step (or forward) in a format; without it a CPU stays with fp32.

    Raises ConfigError for another one, and for fp16 on a CPU.
    """
    if requested not in ("auto", "fp32", "bf16", "fp16"):
        raise ConfigError(f"There is no precision {requested!r}.", "Use auto, fp32, bf16 or fp16.")
    if requested == "fp16" and device.type == "cpu":
        raise ConfigError("fp16 does not work on a CPU.", "Use auto, fp32 or bf16.")
    if requested != "auto":
        dtypes = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
        return Precision(dtypes[requested], "as asked")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision(torch.bfloat16, "this GPU has it")
        return Precision(torch.float16, "this GPU has no bf16")
    if device.type != "cpu":
        return Precision(None, f"no autocast on {device.type}")
    units = [flag for flag in _BF16_UNITS if flag in runtime.cpu_flags()]
    if not units or trial is None:
        return Precision(None, "this CPU has no bf16 matrix units" if not units else "not tried")
    full, half = trial(None), trial(torch.bfloat16)
    verdict = f"{units[0]}: {half:.2f} s a step against {full:.2f} s in fp32"
    return Precision(torch.bfloat16 if half < _WORTH_IT * full else None, verdict)


def for_engine(requested: str) -> Precision:
    """The CPU engine's number format: as asked, with "auto" bfloat16 where the CPU has matrix units for it.

    Raises ConfigError for another one.
    """
    if requested not in ("fp32", "bf16", "auto"):
        raise ConfigError(f"The CPU engine has no {requested}.", "Use auto, fp32 or bf16.")
    if requested != "auto":
        return Precision(torch.bfloat16 if requested == "bf16" else None, "CPU engine, as asked")
    dtype = best_dtype()
    has = "has" if dtype is torch.bfloat16 else "has no"
    return Precision(dtype if dtype is torch.bfloat16 else None, f"CPU engine; this CPU {has} bf16 matrix units")


def timed_step(
    network: nn.Module, *batch: torch.Tensor, backward: bool = True
) -> Callable[[torch.dtype | None], float]:
    """A trial for `choose`: seconds of one forward (and backward) pass, infinite where the output is not finite.

    batch: the network's input, or several.

    The network's parameters stay as they are; its gradients are cleared.
    """

    def once(dtype: torch.dtype | None) -> float:
        started = time.perf_counter()
        with torch.set_grad_enabled(backward):
            with torch.autocast(batch[0].device.type, dtype=dtype, enabled=dtype is not None):
                output = network(*batch)
            first = (output[0] if isinstance(output, list | tuple) else output).float()
            loss = first.square().mean()
            if backward:
                loss.backward()
                network.zero_grad(set_to_none=True)
        return time.perf_counter() - started if bool(torch.isfinite(loss)) else float("inf")

    def trial(dtype: torch.dtype | None) -> float:
        once(dtype)  # the first pass also allocates memory and prepares kernels
        return once(dtype)

    return trial


def apply(network: nn.Module, precision: Precision, device: torch.device) -> None:
    """Make every call of `network` run in `precision`, whatever autocast surrounds it, and return float32.

    Losses and Gaussian weighting after it then work in float32. Nothing of this is in the state dict. A second call
    takes the place of the first.
    """
    forward = network.__dict__.setdefault("forward_as_built", network.forward)

    def in_precision(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, dtype=precision.dtype, enabled=precision.dtype is not None):
            return _as_float(forward(*args, **kwargs))

    network.forward = in_precision


def _as_float(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output
    return type(output)(_as_float(part) for part in output)
