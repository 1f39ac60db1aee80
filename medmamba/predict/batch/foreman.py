"""Who hands out the cases of a fleet, and has those done again whose worker was lost."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...stopping import StopRequest
from ..files.cases import Case
from .book import Book
from .failures import reason
from .report import CaseReport

AT_ONCE = 2
"""Cases a worker holds: one in the network, one being prepared."""
_AGAIN = 2
"""How often a case is done again whose worker was lost."""
_LOOK, _PATIENCE, _ANSWER = 0.5, 60.0, 10.0
"""Seconds between two looks at the stop request; for cases that are being written; for good-byes."""


class Foreman:
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
        for depth in range(1, AT_ONCE + 1):
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
                report = CaseReport(case.name, "failed", error=reason(error.cause))
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
        for _ in held:
            self._take_in(0)
