"""Jobs done in a process of their own: peak memory on a CPU, and the speed of a process that keeps its memory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from . import jobs, memory
from .jobs import Found, Job, job

__all__ = ["Found", "Job", "job", "run"]


def run(wanted: Sequence[Job], device: torch.device, allocator: Mapping[str, str] = memory.ALLOCATOR) -> list[Found]:
    """What each job found; nothing where this system does not let us measure memory, or the job failed or died.

    On a GPU they run here. `allocator`: environment of the process that does them on a CPU.
    """
    if not wanted or not memory.measurable(device):
        return [{} for _ in wanted]
    if device.type == "cuda":
        return [jobs.attempt(one) for one in wanted]
    done: list[Found] = []
    while len(done) < len(wanted):
        done += _in_child(wanted[len(done) :], allocator)
        if len(done) < len(wanted):
            done.append({})  # the job at which the process died
    return done


def _in_child(wanted: Sequence[Job], allocator: Mapping[str, str]) -> list[Found]:
    """What was found before the process ended, by itself or not."""
    root = str(Path(__file__).parents[2])  # for a checkout that is not installed
    environment = {
        **os.environ,
        **allocator,
        "OMP_NUM_THREADS": str(wanted[0]["threads"]),
        "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    done = subprocess.run(
        [sys.executable, "-m", jobs.__name__], input=json.dumps(wanted), env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    lines = (line for line in done.stdout.splitlines() if line.startswith(jobs.MARK))
    return [json.loads(line.removeprefix(jobs.MARK)) for line in lines]
