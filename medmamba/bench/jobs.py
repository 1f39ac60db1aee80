"""What can be asked of another process, by name; `python -m medmamba.bench.jobs` is that process.

It reads a JSON list of jobs from its input and prints one line of JSON for each when it is done, so that a job that
runs out of memory costs its own figure alone.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from . import memory
from .accuracy import differentiate, evaluate
from .contenders import BUDGET, Contender, Trial
from .entrants import entrants
from .report import DTYPES
from .timing import interleaved
from .workloads import Workload, make_case

Job = dict[str, Any]
Found = dict[str, Any]
MARK = "found: "
"""Begins each line that is meant for the process which asked."""
_WARM_UP = "32"
"""Edge of the patch with which a process warms up before a network's memory is measured."""


def job(kind: str, device: torch.device, threads: int, **what: Any) -> Job:
    """A job as JSON holds it. `kind`: scan, network, speed, ...; `what` is for the function that does it."""
    return {"kind": kind, "device": str(device), "threads": threads, "what": what}


def do(one: Job) -> Found:
    """Do one job in this process."""
    return _KINDS[one["kind"]](torch.device(one["device"]), **one["what"])


def attempt(one: Job) -> Found:
    """The same, but nothing found where it fails."""
    try:
        return do(one)
    except Exception:  # a peer may fail in any way, or there is no memory left
        return {}


def _scan(
    device: torch.device, workload: dict[str, Any], entrant: str, directions: int, dtype: str, backward: bool
) -> Found:
    """One entrant of the scan benchmark on one workload; all beyond inputs, output and gradients."""
    shape = Workload(**workload)
    one = next(e for e in entrants(device, DTYPES[dtype], directions) if e.name == entrant)
    short = make_case(shape.within(2**16), one.directions, DTYPES[dtype], device)
    evaluate(one.prepare(short))  # loads code and starts threads
    work = one.prepare(make_case(shape, one.directions, DTYPES[dtype], device))
    with torch.no_grad():
        y, forward = memory.peak(work.call, device)
    if not backward:
        return {"forward": max(0, forward - memory.size(y)), "stored": None, "training": None}
    del y
    stored = 0
    before = memory.in_use(device)

    def both() -> tuple[torch.Tensor, ...]:
        nonlocal stored
        y = work.call()
        stored = memory.in_use(device) - before - memory.size(y)
        return y, *differentiate(work, y)

    results, training = memory.peak(both, device)
    given = memory.size(*results)
    return {
        "forward": max(0, forward - memory.size(results[0])),
        "stored": max(0, stored),
        "training": max(stored, training - given, 0),
    }


def _network(device: torch.device, form: dict[str, Any], train: bool) -> Found:
    """Peak memory of a form of a network."""
    contender = Contender.from_json(form)
    Trial(replace(contender, subject=contender.subject.at(_WARM_UP), batch=1), device).forward()  # loads code
    trial = Trial(contender, device)
    if trial.fast is not trial.network:
        del trial.network  # the engine's own copy is the one in use
    output, forward = memory.peak(trial.forward, device)
    found: Found = {"forward": max(0, forward - memory.size(output)), "train": None}
    if train:
        del output
        trial.network.train()
        optimizer = trial.optimizer()
        found["train"] = memory.peak(lambda: trial.step(optimizer), device)[1]
    return found


def _speed(device: torch.device, form: dict[str, Any], repeats: int) -> Found:
    """Timings of a form of a network, without training."""
    task = Trial(Contender.from_json(form), device).task(train=False)
    timings = interleaved({"": task}, repeats, BUDGET)[0].get("", {})
    return {part: asdict(one) for part, one in timings.items()}


def _block(device: torch.device, size: int) -> Found:
    """Fill a block of `size` bytes: what the tests hold the measurement to."""
    return {"forward": memory.peak(lambda: float(torch.ones(size // 4, device=device)[-1]), device)[1]}


def _blocks(device: torch.device, size: int) -> Found:
    """Two blocks at once, then one of them freed for a third."""

    def call() -> torch.Tensor:
        one, other = torch.ones(size // 4, device=device), torch.ones(size // 4, device=device)
        del other
        return one[-1] + torch.ones(size // 4, device=device)[-1]

    return {"forward": memory.peak(call, device)[1]}


def _death(device: torch.device) -> Found:
    """End the process as running out of memory does: without a word."""
    os._exit(137)


_KINDS: Mapping[str, Callable[..., Found]] = {
    "scan": _scan, "network": _network, "speed": _speed, "block": _block, "blocks": _blocks, "death": _death,
}  # fmt: skip


def main() -> None:
    """Do the jobs on standard input."""
    memory.prepare_process()
    warnings.simplefilter("ignore")
    for one in json.load(sys.stdin):
        torch.set_num_threads(one["threads"])
        print(MARK + json.dumps(attempt(one)), flush=True)


if __name__ == "__main__":
    main()
