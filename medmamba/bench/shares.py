"""Where a forward's time goes: how much of it in scans, how much in convolutions."""

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from .timing import synchronise

Result = TypeVar("Result")
OWN_CONVOLUTION = "medmamba::convolution"
"""What a kernel of ours that convolves maps calls itself under the profiler (`torch.profiler.record_function`)."""
_GROUPS: dict[str, Callable[[str], bool]] = {
    "scan": lambda name: name.startswith("medmamba::") and "scan" in name,
    "convolution": lambda name: (name.startswith("aten::") and "conv" in name) or name == OWN_CONVOLUTION,
}


def profiled(call: Callable[[], Result], device: torch.device) -> tuple[Result, dict[str, float]]:
    """The result of one call, and the fractions of its time that scans and convolutions took.

    By torch's profiler, operators with everything that they call; GPU time on CUDA, else CPU time. The mixers' short
    convolution along the sequence is not among the convolutions, nor is a compiled kernel that does not name itself.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it reports its starts and stops on the error stream otherwise
    on_gpu = device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds, acc_events=True) as found:
        result = call()
        synchronise(device)
    return result, fractions(found.events(), on_gpu)


def fractions(events: Iterable[Any], on_gpu: bool) -> dict[str, float]:
    """The fractions of time by the profiler's events. Operators own their kernels' time: the kernels do not count."""
    operators = [event for event in events if event.device_type == DeviceType.CPU]
    whole = sum(event.self_device_time_total if on_gpu else event.self_cpu_time_total for event in operators)
    spent = {
        group: sum(_time(event, on_gpu) for event in operators if _outermost(event, belongs))
        for group, belongs in _GROUPS.items()
    }
    return {group: time / whole for group, time in spent.items()} if whole else {}


def _outermost(event: Any, belongs: Callable[[str], bool]) -> bool:
    """Whether an operator belongs to a group and none of those that called it does."""
    if not belongs(event.name):
        return False
    caller = event.cpu_parent
    while caller is not None:
        if belongs(caller.name):
            return False
        caller = caller.cpu_parent
    return True


def _time(event: Any, on_gpu: bool) -> float:
    """Microseconds of an operator with everything that it calls."""
    return float(event.device_time_total if on_gpu else event.cpu_time_total)
