"""Timing that is fair to all: everyone in one process, in turn, round after round; the minimum and the median count."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")
_SHORT = 0.02
"""Seconds; a quicker task is repeated within a round until that much is spent."""
_MOST_REPEATS = 8
_HEAD_START = 2_000_000
"""GPU cycles, about a millisecond, that the host gets to enqueue what is timed before the GPU begins with it."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one thing, over all its runs."""

    minimum: float
    median: float
    runs: int


def current(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one while the block runs: events and kernels without tensors go there."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def synchronise(device: torch.device) -> None:
    """Wait until the device has done everything that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed(call: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """The result of `call` and its seconds: on CUDA those of the GPU alone, elsewhere wall time."""
    if device.type != "cuda":
        synchronise(device)
        started = time.perf_counter()
        result = call()
        synchronise(device)
        return result, time.perf_counter() - started
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    synchronise(device)
    torch.cuda._sleep(_HEAD_START)
    start.record()
    result = call()
    end.record()
    synchronise(device)
    return result, start.elapsed_time(end) / 1e3


Task = Callable[[], Mapping[str, float]]
"""Does its work once and says how many seconds each part of it took."""


def interleaved(
    tasks: Mapping[str, Task], rounds: int, budget: float
) -> tuple[dict[str, dict[str, Timing]], dict[str, str]]:
    """Run every task once to warm up, then `rounds` times in turn: timings by task and part, and who failed and how.

    A task that has used `budget` seconds is left out of the rounds that remain. The first run counts only if it alone
    took longer than that. A task may fail in any way (a peer's fault, or no memory left): the others go on without it.
    """
    runs: dict[str, list[Mapping[str, float]]] = {name: [] for name in tasks}
    spent = dict.fromkeys(tasks, 0.0)
    failed: dict[str, str] = {}
    for number in range(rounds + 1):
        warming = number == 0
        for name, task in tasks.items():
            if name in failed or (runs[name] and spent[name] >= budget):
                continue
            found: list[Mapping[str, float]] = []
            try:
                took = _round(task, found, most=1 if warming else _MOST_REPEATS)
            except Exception as error:
                failed[name] = reason(error)
                continue
            if not warming or took > budget:
                runs[name] += found
                spent[name] += took
    return {name: _timings(found) for name, found in runs.items() if name not in failed}, failed


def reason(error: Exception) -> str:
    """Why something failed, in one line."""
    return f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:80]}"


def _round(task: Task, found: list[Mapping[str, float]], most: int) -> float:
    """One round of a task, up to `most` runs of a quick one; its seconds."""
    started = time.perf_counter()
    for _ in range(most):
        found.append(task())
        spent = time.perf_counter() - started
        if spent >= _SHORT:
            break
    return spent


def _timings(runs: list[Mapping[str, float]]) -> dict[str, Timing]:
    parts = {part: [run[part] for run in runs] for part in runs[0]}
    return {part: Timing(min(values), statistics.median(values), len(values)) for part, values in parts.items()}


@contextmanager
def threads(count: int | None) -> Iterator[int]:
    """Let torch use `count` threads while the block runs (None: as many as it does already); gives the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def as_json(timings: Mapping[str, Timing]) -> dict[str, Any]:
    """Timings as plain numbers."""
    return {part: {"min_s": t.minimum, "median_s": t.median, "runs": t.runs} for part, t in timings.items()}
