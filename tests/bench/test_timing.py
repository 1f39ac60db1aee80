import time

import pytest
import torch

from medmamba.bench import timing
from medmamba.bench.timing import Timing, as_json, interleaved, threads, timed

CPU = torch.device("cpu")


class Clock:
    """Time that passes when a task says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def task(self, seconds: float, name: str = "", order: list[str] | None = None) -> timing.Task:
        """A task that takes that long and gives the time at its end."""

        def once() -> dict[str, float]:
            self.now += seconds
            if order is not None:
                order.append(name)
            return {"part": self.now}

        return once


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: found.now)
    return found


def test_tasks_take_turns_and_the_first_run_warms_up(clock: Clock) -> None:
    order: list[str] = []
    tasks = {name: clock.task(1.0, name, order) for name in ("a", "b")}
    found, failed = interleaved(tasks, rounds=2, budget=10)
    assert order == ["a", "b"] * 3 and not failed
    assert found["a"]["part"] == Timing(3.0, 4.0, 2)


def test_a_quick_task_runs_several_times_a_round(clock: Clock) -> None:
    assert interleaved({"": clock.task(1e-4)}, rounds=2, budget=10)[0][""]["part"].runs == 16


def test_a_spent_budget_ends_the_rounds(clock: Clock) -> None:
    assert interleaved({"": clock.task(3)}, rounds=9, budget=4)[0][""]["part"].runs == 2


def test_a_first_run_beyond_the_budget_is_the_only_one(clock: Clock) -> None:
    assert interleaved({"": clock.task(3)}, rounds=9, budget=2)[0][""]["part"] == Timing(3.0, 3.0, 1)


def test_one_that_fails_does_not_stop_the_others(clock: Clock) -> None:
    calls = []

    def late() -> dict[str, float]:
        calls.append(1)
        if len(calls) > 1:
            raise MemoryError("none left\nat all")
        return {"part": 1.0}

    found, failed = interleaved({"bad": late, "good": clock.task(1)}, rounds=3, budget=10)
    assert list(found) == ["good"] and failed == {"bad": "failed: MemoryError: none left"}
    assert len(calls) == 2


def test_timed_gives_result_and_seconds() -> None:
    result, seconds = timed(lambda: time.sleep(0.02) or 3, CPU)
    assert result == 3 and seconds >= 0.02


def test_threads_are_set_and_set_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1) as count:
        assert count == torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_json_says_the_unit() -> None:
    assert as_json({"forward": Timing(1.0, 2.0, 3)}) == {"forward": {"min_s": 1.0, "median_s": 2.0, "runs": 3}}
