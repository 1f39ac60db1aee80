"""Cases in a batch: order, failures, threads."""

import threading

import pytest

from medmamba.nnunet import batches


@pytest.mark.parametrize("threads", [1, 3])
def test_one_bad_case_does_not_stop_the_others(threads: int) -> None:
    told: list[tuple[str, int, int]] = []

    def work(case: str) -> int:
        if case == "b":
            raise ValueError("is bad.\nmore")
        if case == "d":
            raise KeyError
        return ord(case)

    done, failures = batches.attempt(list("abcd"), work, lambda *one: told.append(one), threads)
    assert done == {"a": 97, "c": 99}
    assert failures == {"b": "is bad", "d": "KeyError"}
    assert told == [("a", 1, 4), ("b", 2, 4), ("c", 3, 4), ("d", 4, 4)]


def test_threads_work_at_once() -> None:
    together = threading.Barrier(2, timeout=20)
    done, failures = batches.attempt(["a", "b"], lambda _: together.wait() >= 0, threads=2)
    assert done == {"a": True, "b": True} and not failures


def test_memory_limits_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "default_num_processes", 8)
    monkeypatch.setattr(batches.runtime, "cpu_count", lambda: 6)
    monkeypatch.setattr(batches.runtime, "free_memory", lambda: 1000)
    assert [batches.threads(each) for each in (0, 1, 100, 200, 10**6)] == [6, 6, 5, 2, 1]
