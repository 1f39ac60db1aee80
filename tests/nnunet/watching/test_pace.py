import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.nnunet.loop.reports import EpochReport, StepReport
from medmamba.nnunet.watching.pace import Pace


def step(epoch: int, number: int, phase: str = "train", seconds: float = 2.0, loss: float = 0.5) -> StepReport:
    steps = 4 if phase == "train" else 2
    return StepReport(phase, epoch, 10, number, steps, loss, seconds, seconds / 4, 2)  # type: ignore[arg-type]


def epoch(number: int, seconds: float = 10.0) -> EpochReport:
    return EpochReport(number, 10, 0.0, 0.0, (), 0.0, 0.0, seconds)


def run(pace: Pace, number: int) -> None:
    for place in range(4):
        pace.step(step(number, place + 1))
    for place in range(2):
        pace.step(step(number, place + 1, "validation", 1.0))


def test_speed_and_waiting() -> None:
    pace = Pace(10, 0, 4, 2)
    assert (pace.left, pace.images_per_second, pace.waited, pace.loss) == (None, 0.0, 0.0, None)
    pace.step(step(1, 1))
    assert (pace.images_per_second, pace.waited, pace.loss) == (1.0, 0.25, 0.5)
    pace.step(step(1, 2, loss=math.nan))
    assert pace.loss == 0.5
    pace.step(step(2, 1, loss=0.25))
    assert pace.loss == 0.25  # that of the epoch which is going on


def test_steps_tell_before_the_first_epoch_is_done() -> None:
    pace = Pace(10, 0, 4, 2)
    run(pace, 1)
    assert pace.done == 1.0
    assert pace.left == pytest.approx(9 * (4 * 2 + 2 * 1))


def test_epochs_tell_with_all_that_is_done_between_steps() -> None:
    pace = Pace(10, 0, 4, 2)
    run(pace, 1)
    pace.epoch(epoch(1, seconds=30.0))
    assert pace.left == pytest.approx(9 * 30.0)
    pace.step(step(2, 1))
    assert pace.left == pytest.approx(30.0 * (9 - 2 / 10))


def test_the_rest_of_an_epoch_is_no_whole_epoch() -> None:
    pace = Pace(10, 5, 4, 2)
    pace.step(step(6, 3))
    pace.epoch(epoch(6, seconds=4.0))
    assert pace.done == 6
    assert pace.left == pytest.approx(4 * (4 * 2 + 2 * 2 / 3))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_it_never_goes_beyond_the_end(seconds: list[float]) -> None:
    pace = Pace(10, 0, 4, 2)
    done = []
    for place, one in enumerate(seconds):
        number, at = divmod(place, 4)
        pace.step(step(number + 1, at + 1, seconds=one))
        if at == 3:
            pace.epoch(epoch(number + 1))
        done.append(pace.done)
        assert pace.left is not None and pace.left >= 0
    assert max(done) <= 10
