import time

import torch

from medmamba.bench.timing import Timing, as_json, interleaved, threads, timed

CPU = torch.device("cpu")


def test_tasks_take_turns() -> None:
    order = []

    def task(name: str):
        def once() -> dict[str, float]:
            order.append(name)
            time.sleep(0.025)  # long enough to run once a round
            return {"part": float(len(order))}

        return once

    found, _ = interleaved({"a": task("a"), "b": task("b")}, rounds=2, budget=10)
    assert order == ["a", "b"] * 3  # the first of them warms up
    assert found["a"]["part"] == Timing(3.0, 4.0, 2)


def test_a_quick_task_runs_several_times_a_round() -> None:
    assert interleaved({"": lambda: {"part": 1.0}}, rounds=2, budget=10)[0][""]["part"].runs == 16


def test_a_spent_budget_ends_the_rounds() -> None:
    def once() -> dict[str, float]:
        time.sleep(0.03)
        return {"part": 1.0}

    assert interleaved({"": once}, rounds=9, budget=0.04)[0][""]["part"].runs == 2
    assert interleaved({"": once}, rounds=9, budget=0.01)[0][""]["part"].runs == 1  # the warm-up alone was too long


def test_one_that_fails_does_not_stop_the_others() -> None:
    calls = []

    def late() -> dict[str, float]:
        calls.append(1)
        if len(calls) > 1:
            raise MemoryError("none left\nat all")
        time.sleep(0.03)
        return {"part": 1.0}

    found, failed = interleaved({"bad": late, "good": lambda: {"part": 1.0}}, rounds=3, budget=10)
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
