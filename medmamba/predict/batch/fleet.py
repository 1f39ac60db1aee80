"""A batch over the GPUs, or shares of the CPUs, of one or many machines with Ray; the extra `ray`.

A worker (Ray's actor) is a predictor of its own that writes into the common output folder. Cases are handed out one by
one. A worker that is lost comes back, and its cases are done again.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ...errors import MedMambaError
from ...stopping import StopRequest, stop_requests
from ..files.cases import Case
from ..files.writing import OutputFormat
from ..recipe import LoadedModel
from . import outputs
from .book import Book, Watcher
from .casework import CaseWork, InterruptedCaseError, Segmenter, Wanted
from .cluster import Shares, cluster, divide
from .foreman import AT_ONCE, Foreman
from .outputs import Staging, staging
from .report import FINISHED, CaseReport
from .task import Keeper, Outcome, Task


class Maker(Protocol):
    """What makes a predictor in another process; `making.Making` is one."""

    def predictor(self) -> Segmenter:
        """A new predictor."""


class Worker:
    """One predictor in a process of its own. Ray calls `segment` from several threads."""

    def __init__(self, maker: Maker, output: Path, wanted: Wanted, threads: int) -> None:
        self._making = maker, output, wanted, threads
        self._stop = StopRequest()
        self._first, self._turn = threading.Lock(), threading.Lock()
        self._made: tuple[Segmenter, CaseWork, Staging] | None = None

    def describe(self) -> dict[str, Any]:
        """What the predictor says of itself; loads the model."""
        return dict(self._ready()[0].description())

    def segment(self, case: Case) -> CaseReport | None:
        """One case from its files to its outputs; None when it was left because of `stop`."""
        predictor, work, _ = self._ready()
        if self._stop:
            return None
        ready = work.prepare(case) if predictor.ahead(case) else None
        with self._turn:
            try:
                return None if self._stop else work.finish(ready or work.prepare(case), lambda done, total: None)
            except InterruptedCaseError:
                return None

    def stop(self, number: int) -> None:
        """Leave the present case at its next tile, unless it is being written."""
        self._stop.number = number

    def close(self) -> None:
        """Remove what this worker keeps in the output folder."""
        if self._made is not None:
            self._made[2].close()

    def _ready(self) -> tuple[Segmenter, CaseWork, Staging]:
        with self._first:
            if self._made is None:
                maker, output, wanted, threads = self._making
                import torch

                torch.set_num_threads(threads)
                predictor, place = maker.predictor(), Staging(output)
                self._made = predictor, CaseWork(predictor, place, wanted, self._stop), place
            return self._made


def run(
    maker: Maker,
    model: LoadedModel,
    cases: Sequence[Case],
    output: Path,
    *,
    address: str = "auto",
    jobs: int | None = None,
    device: str = "auto",
    resume: bool = False,
    save_probabilities: bool = False,
    num_parts: int = 1,
    part_id: int = 0,
    roi: Sequence[str] | None = None,
    raw_labels: bool = False,
    output_format: OutputFormat = "auto",
    watcher: Watcher | None = None,
) -> Outcome:
    """`run.run` over a Ray cluster: the same outputs, the same report, the same errors.

    Parameters
    ----------
    maker: makes the predictor in each worker; must be picklable, and its paths must hold on every machine.
    address: of a cluster (HOST:PORT, ray://HOST:PORT); auto: the one that runs here, else this machine alone.
    jobs: workers on CPUs, which share the cores; None: one a machine. With GPUs there is one worker a GPU.

    `output` and the images must be on a file system that all machines share. Raises SetupError without the package
    ray and when nobody answers at `address`.
    """
    task = Task.of(
        model,
        [replace(case, files=tuple(file.absolute() for file in case.files)) for case in cases],
        Path(output).absolute(),
        resume=resume,
        save_probabilities=save_probabilities,
        num_parts=num_parts,
        part_id=part_id,
        roi=roi,
        raw_labels=raw_labels,
        output_format=output_format,
    )
    with cluster(address) as ray, stop_requests() as stop, staging(Path(output).absolute()) as place:
        shares = divide(ray, jobs, device)
        if watcher is not None:
            watcher.message(f"Ray: {shares}")
        workers = _hire(ray, shares, (maker, place.output, task.wanted, max(1, int(shares.cpus))))
        book, kept = task.begin(place, _description(ray, workers[0]), watcher)
        Foreman(ray, workers, book, stop).go(_left(task, kept, book, stop))
        book.end(stop.name or FINISHED)
    outputs.remove_abandoned(place.output)  # of workers that were killed
    return task.conclude(book, stop)


def _left(task: Task, kept: Keeper, book: Book, stop: StopRequest) -> list[Case]:
    """The cases that are still to be done; those that are there already are noted."""
    left = []
    for case in task.cases:
        if stop:
            break
        if there := kept(case):
            book.add(there)
        else:
            left.append(case)
    return left


def _hire(ray: Any, shares: Shares, given: tuple[Any, ...]) -> list[Any]:
    """Ray's handles of the workers; they start when they are first asked something."""
    remote = ray.remote(Worker).options(
        num_cpus=shares.cpus, num_gpus=shares.gpus, max_restarts=-1, max_concurrency=AT_ONCE + 2
    )
    return [remote.remote(*given) for _ in range(shares.workers)]


def _description(ray: Any, worker: Any) -> dict[str, Any]:
    """What a worker's predictor says of itself. Raises what making it raises there."""
    try:
        return dict(ray.get(worker.describe.remote()))
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, MedMambaError) else error from None
