"""A batch over the GPUs, or shares of the CPUs, of one or many machines with Ray; the extra `ray`.

A worker (Ray's actor) is a predictor of its own that writes into the common output folder. Cases are handed out one by
one. A worker that is lost comes back, and its cases are done again.
"""

import logging
import os
import signal
import socket
import threading
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from .. import runtime
from ..errors import MedMambaError, SetupError
from ..nnunet.loop.stopping import StopRequest, stop_requests
from . import batch, outputs
from .batch import Book, CaseWork, InterruptedCaseError, Outcome, Segmenter, Wanted, Watcher
from .cases import Case
from .outputs import Staging, staging
from .parts import part_of, report_name
from .recipe import LoadedModel
from .report import FINISHED, CaseReport
from .writing import require_apart

_AT_ONCE = 2
"""Cases a worker holds: one in the network, one being prepared."""
_AGAIN = 2
"""How often a case is done again whose worker was lost."""
_LOOK, _PATIENCE, _ANSWER = 0.5, 60.0, 10.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing about this machine leaves it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what it has to say about lost workers is said here
}


class Maker(Protocol):
    """What makes a predictor in another process; `making.Making` is one."""

    def predictor(self) -> Segmenter:
        """A new predictor."""


@dataclass(frozen=True)
class Shares:
    """How the machines are divided among the workers."""

    workers: int
    cpus: float
    """Cores of each."""
    gpus: float
    """GPUs of each: 1 or 0."""

    def __str__(self) -> str:
        gpu = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.workers} workers with {self.cpus:g} cores{gpu} each"


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
    watcher: Watcher | None = None,
) -> Outcome:
    """`batch.run` over a Ray cluster: the same outputs, the same report, the same errors.

    Parameters
    ----------
    maker: makes the predictor in each worker; must be picklable, and its paths must hold on every machine.
    address: of a cluster (HOST:PORT, ray://HOST:PORT); auto: the one that runs here, else this machine alone.
    jobs: workers on CPUs, which share the cores; None: one a machine. With GPUs there is one worker a GPU.

    `output` and the images must be on a file system that all machines share. Raises SetupError without the package
    ray and when nobody answers at `address`.
    """
    mine = part_of(cases, num_parts, part_id)
    mine = [replace(case, files=tuple(file.absolute() for file in case.files)) for case in mine]
    watcher, wanted = watcher or Watcher(), Wanted.of(model, save_probabilities, roi, raw_labels)
    require_apart(cases, Path(output), model.recipe)
    with cluster(address) as ray, stop_requests() as stop, staging(Path(output).absolute()) as place:
        shares = divide(ray, jobs, device)
        watcher.message(f"Ray: {shares}")
        workers = _hire(ray, shares, (maker, place.output, wanted, max(1, int(shares.cpus))))
        report = batch.start_report(model, _description(ray, workers[0]), wanted, len(mine))
        report.part = None if num_parts == 1 else (part_id, num_parts)
        kept = batch.keeper(mine, place, model.recipe, report, wanted.probabilities) if resume else lambda case: None
        book = Book(report, place, report_name(num_parts, part_id), watcher)
        book.begin(model)
        left = []
        for case in mine:
            if stop:
                break
            if there := kept(case):
                book.add(there)
            else:
                left.append(case)
        _Foreman(ray, workers, book, stop).go(left)
        book.end(stop.name or FINISHED)
    outputs.remove_abandoned(place.output)  # of workers that were killed
    return batch.conclude(report, book.file, mine, model, stop)


def _hire(ray: Any, shares: Shares, given: tuple[Any, ...]) -> list[Any]:
    """Ray's handles of the workers; they start when they are first asked something."""
    remote = ray.remote(Worker).options(
        num_cpus=shares.cpus, num_gpus=shares.gpus, max_restarts=-1, max_concurrency=_AT_ONCE + 2
    )
    return [remote.remote(*given) for _ in range(shares.workers)]


def _description(ray: Any, worker: Any) -> dict[str, Any]:
    """What a worker's predictor says of itself. Raises what making it raises there."""
    try:
        return dict(ray.get(worker.describe.remote()))
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, MedMambaError) else error from None


class _Foreman:
    """Hands out cases to workers until each is done, failed, or was lost too often."""

    def __init__(self, ray: Any, workers: list[Any], book: Book, stop: StopRequest) -> None:
        self._ray, self._workers, self._book, self._stop = ray, workers, book, stop
        self._held: dict[Any, tuple[int, Case]] = {}
        """What is being done: Ray's reference -> (worker, case)."""
        self._away: dict[Any, int] = {}
        """Workers that were lost and are awaited: Ray's reference -> worker."""
        self._lost: Counter[str] = Counter()
        self._waiting: deque[Case] = deque()

    def go(self, cases: Sequence[Case]) -> None:
        """Do all cases, or leave when asked to stop."""
        self._waiting.extend(cases)
        while (self._waiting or self._held) and not self._stop:
            self._hand_out()
            self._take_in(_LOOK)
        if self._stop:
            self._leave()
        closing = [worker.close.remote() for worker in self._present()]
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=_ANSWER)
        for worker in self._workers:  # those that are still on their way back among them
            self._ray.kill(worker)

    def _present(self) -> list[Any]:
        return [worker for number, worker in enumerate(self._workers) if number not in self._away.values()]

    def _hand_out(self) -> None:
        """Give each worker its next case; one that was lost before goes alone, since it may be what kills workers."""
        for depth in range(1, _AT_ONCE + 1):
            for number, worker in enumerate(self._workers):
                if not self._waiting or number in self._away.values():
                    continue
                held = [case for holder, case in self._held.values() if holder == number]
                alone = any(self._lost[case.name] for case in (*held, self._waiting[0]))
                if len(held) < (1 if alone else depth):
                    case = self._waiting.popleft()
                    self._book.watcher.case(case.name)
                    self._held[worker.segment.remote(case)] = number, case

    def _take_in(self, seconds: float) -> None:
        """Note what has come back."""
        back, _ = self._ray.wait([*self._held, *self._away], num_returns=1, timeout=seconds)
        for reference in back:
            if reference in self._away:
                self._greet(reference)
                continue
            number, case = self._held.pop(reference)
            try:
                report = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                report = CaseReport(case.name, "failed", error=batch.reason(error.cause))
            except self._ray.exceptions.RayError:
                self._lose(number, case)
                continue
            if report is not None:
                again = ("its worker was lost, so that it was done again",) if self._lost[case.name] else ()
                self._book.add(replace(report, warnings=(*report.warnings, *again)))

    def _greet(self, reference: Any) -> None:
        """A worker that was lost answers, or not yet."""
        number = self._away.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            return  # it is there, and says what is wrong when it gets a case
        except self._ray.exceptions.RayError:
            self._await(number)

    def _await(self, number: int) -> None:
        self._away[self._workers[number].describe.remote()] = number

    def _lose(self, number: int, case: Case) -> None:
        """A worker has gone with this case: the case waits again, at the end of the row."""
        self._lost[case.name] += 1
        if number not in self._away.values():
            self._await(number)
        if self._lost[case.name] > _AGAIN:
            text = f"its worker was lost {_AGAIN + 1} times: killed, or out of memory"
            self._book.add(CaseReport(case.name, "failed", error=text))
        else:
            self._book.watcher.message(f"A worker was lost; {case.name} is done again.")
            self._waiting.append(case)

    def _leave(self) -> None:
        """Let the workers finish what they write, and nothing else."""
        for worker in self._present():
            worker.stop.remote(self._stop.number)
        self._waiting.clear()
        held = list(self._held)
        if held:
            self._ray.wait(held, num_returns=len(held), timeout=_PATIENCE)
            self._take_in(0)


def divide(ray: Any, jobs: int | None, device: str) -> Shares:
    """The workers that a cluster has room for: one a GPU, unless the CPU is asked for or there is none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    if gpus and device != "cpu":
        hosts = [node for node in nodes if node.get("GPU")]
        return Shares(gpus, max(1, min(int(node.get("CPU", 1) // node["GPU"]) for node in hosts)), 1)
    cores = [node["CPU"] for node in nodes if node.get("CPU")] or [1]
    workers = max(1, jobs or len(cores))
    each = min(cores) / -(-workers // len(cores))
    return Shares(workers, int(each) if each >= 1 else round(each - 5e-5, 4), 0)


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """The module ray, connected for the duration of the block. SetupError when that cannot be."""
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    before = signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files that Ray leaves open
        try:
            import ray
        except ImportError as error:
            raise SetupError("The package ray is not installed.", "pip install 'medmamba[ray]'") from error
        _connect(ray, address)
        try:
            yield ray
        finally:
            ray.shutdown()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray takes it and does not give it back


def _connect(ray: Any, address: str) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address != "auto":
            _knock(address)
            ray.init(address=address, **quiet)
            return
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            ray.init(address="local", num_cpus=runtime.cpu_count(), include_dashboard=False, **quiet)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
        raise SetupError(
            f"No Ray cluster answers at {address}: {batch.reason(error)}.",
            "Start one with `ray start --head`, or use --ray auto for this machine alone.",
        ) from error


def _knock(address: str) -> None:
    """Raise OSError or ValueError when nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_ANSWER):
        pass
