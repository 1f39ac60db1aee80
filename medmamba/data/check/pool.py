"""Work spread over processes, so that one that dies takes only its own file with it."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from ...errors import SetupError

_Result = TypeVar("_Result")
Job = tuple[Any, ...]
"""Arguments of one call."""
_AHEAD = 2
"""Jobs handed out for each process, done or waiting."""


def spread(
    work: Callable[..., _Result], jobs: Sequence[Job], processes: int, died: Callable[[Job], _Result]
) -> Iterator[tuple[int, _Result]]:
    """Yield (place in `jobs`, work(*job)) as they are done, in any order; died(job) where the process died on it.

    processes: 0 works in this process, where nothing guards against a crash. Workers are spawned, so `work` must be a
    function of a module. SetupError when no worker can be started at all.
    """
    if processes == 0:
        for place, job in enumerate(jobs):
            yield place, work(*job)
        return
    left = list(range(len(jobs)))[::-1]
    while left:
        suspects: list[int] = []
        yield from _until_one_dies(work, jobs, left, min(processes, len(left)), _AHEAD, suspects)
        while suspects:  # one of those in flight did it: now one at a time
            dead: list[int] = []
            yield from _until_one_dies(work, jobs, suspects, 1, 1, dead)
            yield from ((place, died(jobs[place])) for place in dead)


def _until_one_dies(
    work: Callable[..., _Result],
    jobs: Sequence[Job],
    left: list[int],
    processes: int,
    ahead: int,
    unfinished: list[int],
) -> Iterator[tuple[int, _Result]]:
    """Take jobs from the end of `left`; when a process dies, put those in flight into `unfinished` and stop."""
    with _pool(processes) as pool:
        running: dict[Future[_Result], int] = {}
        try:
            while left or running:
                while left and len(running) < processes * ahead:
                    running[pool.submit(work, *jobs[left[-1]])] = left[-1]
                    left.pop()  # after submit, which refuses when a process died meanwhile
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            unfinished.extend(running.values())


def _pool(processes: int) -> ProcessPoolExecutor:
    """A pool whose first process is known to have started."""
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin)
    try:
        pool.submit(int).result()
    except BrokenProcessPool as error:
        raise SetupError(
            "No worker process can be started.",
            "A script that calls this needs `if __name__ == '__main__':` around it; processes=0 works without.",
        ) from error
    return pool


def _begin() -> None:
    """A worker's first act: C libraries write to the screen what they also report as an error, and are kept from it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next job for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
