"""The turns and the figures; tests/nnunet/test_stock.py has both trainers for real."""

import pytest

from medmamba.bench import training
from medmamba.bench.training import TrainingOptions, in_turn, quartiles, summary
from medmamba.nnunet.stock import Step


class Clock:
    """A loop whose steps take as long as it says."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def step(self) -> Step:
        self.log.append(self.name)
        return Step(2.0, 0.5, 1.0)

    def close(self) -> None: ...


def test_turns_alternate_and_begin_with_steps_that_do_not_count() -> None:
    log: list[str] = []
    turns = in_turn({"a": Clock("a", log), "b": Clock("b", log)}, TrainingOptions(1, blocks=3, steps=2), log.append)
    assert "".join(one for one in log if len(one) == 1) == "ab" + "aaabbb" + "bbbaaa" + "aaabbb"
    assert [len(turn) for turn in turns["a"]] == [2, 2, 2]


def test_figures() -> None:
    steps = [Step(seconds, seconds / 4, 0.5) for seconds in (1.0, 2.0, 3.0, 4.0, 5.0)]
    row = summary("x", steps, batch=3)
    assert (row.median, row.lower, row.upper, row.waited, row.cpu) == (3.0, 2.0, 4.0, 0.25, 0.5)
    assert row.images_per_second == pytest.approx(3 * 5 / 15)
    assert quartiles([7.0]) == (7.0, 7.0)


def test_more_workers_have_more_batches_ready() -> None:
    assert training.prepared(0) == 1 < training.prepared(1) <= training.prepared(8)
