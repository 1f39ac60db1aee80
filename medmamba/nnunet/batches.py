"""Batches of cases in which one that fails does not keep the others from being done."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nnunetv2.configuration import default_num_processes

from .. import runtime
from ..predict.batch.failures import BatchError, reason

__all__ = ["BatchError", "OnCase", "attempt", "reason", "threads"]
T = TypeVar("T")
OnCase = Callable[[str, int, int], None]
"""Called with (case, cases done, cases in all) after each case."""


def attempt(
    cases: Collection[str], work: Callable[[str], T], on_case: OnCase | None = None, threads: int = 1
) -> tuple[dict[str, T], dict[str, str]]:
    """(case -> what `work` returned, case -> why it failed), in the order of `cases`.

    With more than one thread the work has to spend its time where Python lets others run: reading, writing, numpy.
    """
    done: dict[str, T] = {}
    failures: dict[str, str] = {}

    def one(case: str) -> T | Exception:
        try:
            return work(case)
        except Exception as error:  # whatever is wrong with one case, the others are still wanted
            return error

    with ThreadPoolExecutor(threads) as pool:
        outcomes = pool.map(one, cases) if threads > 1 else map(one, cases)
        for number, (case, outcome) in enumerate(zip(cases, outcomes, strict=True), start=1):
            if isinstance(outcome, Exception):
                failures[case] = reason(outcome)
            else:
                done[case] = outcome
            if on_case is not None:
                on_case(case, number, len(cases))
    return done, failures


def threads(memory: int = 0) -> int:
    """How many cases to work on at once: a thread a core, at most nnU-Net's `nnUNet_def_n_proc`, and at most as many
    as find `memory` bytes each in half of what is free.
    """
    wanted = min(runtime.cpu_count(), default_num_processes)
    if memory:
        wanted = min(wanted, (runtime.free_memory() or 0) // 2 // memory)
    return max(1, wanted)
