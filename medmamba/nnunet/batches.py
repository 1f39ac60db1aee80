"""Batches of cases in which one that fails does not keep the others from being done."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from nnunetv2.configuration import default_num_processes

from .. import runtime
from ..errors import DataError

T = TypeVar("T")
OnCase = Callable[[str, int, int], None]
"""Called with (case, cases done, cases in all) after each case."""


class BatchError(DataError):
    """Some cases of a batch failed. The others are done: `written` are their files, `failures` maps case -> reason."""

    exit_code = 6

    def __init__(self, written: list[Path], failures: dict[str, str], what: str = "predictions were written") -> None:
        self.written = written
        self.failures = failures
        reasons = "; ".join(f"{case}: {reason}" for case, reason in failures.items())
        total = len(written) + len(failures)
        super().__init__(f"{len(failures)} of {total} cases failed: {reasons}.", f"{len(written)} {what}.")


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


def reason(error: Exception) -> str:
    """An error in one line."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def threads(memory: int = 0) -> int:
    """How many cases to work on at once: a thread a core, at most nnU-Net's `nnUNet_def_n_proc`, and at most as many
    as find `memory` bytes each in half of what is free.
    """
    wanted = min(runtime.cpu_count(), default_num_processes)
    if memory:
        wanted = min(wanted, _free_memory() // 2 // memory)
    return max(1, wanted)


def _free_memory() -> int:
    """Bytes that may be used: the machine's, cut down to the container's limit. 0 where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
    try:
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return free
    return min(free, limit - used)
