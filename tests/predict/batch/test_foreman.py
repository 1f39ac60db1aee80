"""Who hands out the cases of a fleet: turns, lost workers, being stopped. Ray itself is in `test_fleet`.

A stand-in for Ray runs each call of a worker in a thread of its own, and can lose a worker: so that who is lost, when
and how often is decided here and not by chance.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medmamba.predict.batch.book import Book, Watcher
from medmamba.predict.batch.foreman import AT_ONCE, Foreman
from medmamba.predict.batch.outputs import staging
from medmamba.predict.batch.report import CaseReport, Report
from medmamba.predict.files.cases import Case
from medmamba.stopping import StopRequest

NAMES = [f"case{number}" for number in range(7)]
CASES = [Case(name, (Path(f"{name}.nii.gz"),), "files") for name in NAMES]


class RayError(Exception):
    """A worker is gone."""


class RayTaskError(RayError):
    """A worker's call raised `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Call:
    """What Ray calls a reference: a call in a thread."""

    def __init__(self, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(work, given), daemon=True)
        self.thread.start()

    def _run(self, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
        try:
            self.result = work(*given)
        except RayError as error:
            self.error = error
        except Exception as error:
            self.error = RayTaskError(error)


class StandIn:
    """As much of Ray as the foreman uses."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self.killed: list[Any] = []

    def get(self, call: Call) -> Any:
        call.thread.join()
        if call.error is not None:
            raise call.error
        return call.result

    def wait(self, calls: list[Call], num_returns: int, timeout: float) -> tuple[list[Call], list[Call]]:
        until = time.monotonic() + timeout
        while sum(not call.thread.is_alive() for call in calls) < num_returns and time.monotonic() < until:
            time.sleep(0.001)
        done = [call for call in calls if not call.thread.is_alive()][:num_returns]
        return done, [call for call in calls if call not in done]

    def kill(self, worker: Any) -> None:
        self.killed.append(worker)


class Hand:
    """A worker that takes 10 ms a case; `fate` may raise, or say what becomes of a case."""

    def __init__(self, fate: Callable[[str], CaseReport | None]) -> None:
        self._fate, self._turn = fate, threading.Lock()
        self.held = self.most = 0
        self.cases: list[str] = []
        self.asked_to_stop = self.closed = 0
        for name in ("describe", "segment", "stop", "close"):
            setattr(self, name, SimpleNamespace(remote=lambda *given, n=name: Call(getattr(self, f"_{n}"), given)))

    def _describe(self) -> dict[str, Any]:
        return {}

    def _segment(self, case: Case) -> CaseReport | None:
        self.held += 1
        self.most = max(self.most, self.held)
        try:
            with self._turn:
                self.cases.append(case.name)
                time.sleep(0.01)
                return self._fate(case.name)
        finally:
            self.held -= 1

    def _stop(self, number: int) -> None:
        self.asked_to_stop = number

    def _close(self) -> None:
        self.closed += 1


def done(name: str) -> CaseReport:
    return CaseReport(name, "done", f"{name}.nii.gz")


class Said(Watcher):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def went(
    out: Path, fates: Sequence[Callable[[str], CaseReport | None]], stop: StopRequest | None = None
) -> tuple[Report, list[Hand], StandIn, list[str]]:
    """Let a foreman do all cases with workers of these fates."""
    ray, hands, said = StandIn(), [Hand(fate) for fate in fates], Said()
    with staging(out) as place:
        book = Book(Report({}, {}, total=len(CASES)), place, "predict_report.json", said)
        Foreman(ray, list(hands), book, StopRequest() if stop is None else stop).go(CASES)
    return book.report, hands, ray, said.lines


def test_every_case_once_and_no_worker_has_more_than_two(tmp_path: Path) -> None:
    report, hands, ray, _ = went(tmp_path, [done] * 3)
    assert Counter(name for hand in hands for name in hand.cases) == Counter(NAMES)
    assert [report.cases[name].status for name in NAMES] == ["done"] * 7
    assert all(hand.cases and hand.most <= AT_ONCE and hand.closed == 1 for hand in hands)
    assert ray.killed == hands


def test_cases_of_a_lost_worker_are_done_again_and_say_so(tmp_path: Path) -> None:
    deaths: list[str] = []

    def dies_once(name: str) -> CaseReport:
        if name == "case1" and not deaths:
            deaths.append(name)
            raise RayError("gone")
        return done(name)

    report, _, _, said = went(tmp_path, [dies_once] * 2)
    assert deaths == ["case1"] and set(report.cases) == set(NAMES)
    assert {name for name, case in report.cases.items() if case.warnings} == {"case1"}
    assert "done again" in report.cases["case1"].warnings[0]
    assert said == ["A worker was lost; case1 is done again."]


def test_a_case_that_is_lost_three_times_has_failed(tmp_path: Path) -> None:
    company: list[int] = []
    hands: list[Any] = []

    def deadly(name: str) -> CaseReport:
        if name != "case2":
            return done(name)
        company.append(threading.active_count())
        raise RayError("gone")

    report, hands, _, said = went(tmp_path, [deadly])
    assert len(company) == 3 and len(said) == 2
    failed = report.of("failed")
    assert [case.case for case in failed] == ["case2"] and "lost 3 times" in str(failed[0].error)
    assert len(report.of("done")) == 6
    first, again = hands[0].cases.index("case2"), hands[0].cases[-2:]
    assert first == 2 and again == ["case2", "case2"], "what may kill workers waits until the others are done"


def test_a_worker_that_cannot_work_fails_its_cases_with_the_reason(tmp_path: Path) -> None:
    def broken(name: str) -> CaseReport:
        raise ValueError("no such model")

    report, _, _, _ = went(tmp_path, [broken])
    assert [case.error for case in report.of("failed")] == ["no such model"] * 7


@pytest.mark.parametrize("at", ["case0", "case1"])
def test_asked_to_stop_what_is_held_ends_and_the_rest_is_left(at: str, tmp_path: Path) -> None:
    stop = StopRequest()

    def stopping(name: str) -> CaseReport | None:
        stop.number = 15 if name == at else stop.number
        return done(name)

    report, hands, _, _ = went(tmp_path, [stopping] * 2, stop)
    assert all(hand.asked_to_stop == 15 and hand.closed == 1 for hand in hands)
    finished = {name for hand in hands for name in hand.cases}
    assert at in finished and len(finished) < len(NAMES)
    assert set(report.cases) == finished, "what was finished nevertheless is noted, all of it"
