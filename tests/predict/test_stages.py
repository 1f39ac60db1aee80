"""Time by stage, and the cases that a predictor has in hand."""

import gc
import time
from collections.abc import Iterator

import numpy as np
import pytest

from medmamba.predict.budget import Estimate, Plan
from medmamba.predict.stages import InHand, Prepared, Seconds

_ESTIMATE = Estimate(
    base=100, input=10, preprocessing=20, data=30, weights=0, activations=5, tile=1, row=1, ring=4, export=2,
    output=2, folds=1, tiles=1,
)  # fmt: skip


def case(data: bool = False) -> Prepared:
    return Prepared("a", _ESTIMATE, Plan(), np.zeros((1, 2, 2, 2), np.float32) if data else None)


def test_waiting_is_one_stage_and_working_on_what_came_is_another() -> None:
    def slow() -> Iterator[int]:
        for part in range(2):
            time.sleep(0.03)
            yield part
        time.sleep(0.03)  # what comes after the last part is waited for, too

    seconds = Seconds(network=1.0)
    came = []
    with seconds.of("export"):
        for part in seconds.waiting("network", slow()):
            time.sleep(0.02)
            came.append(part)
    assert came == [0, 1]
    assert 1.09 <= seconds["network"] < 1.5
    assert seconds["export"] - (seconds["network"] - 1) >= 0.04


def test_times_of_several_records_add_up() -> None:
    seconds = Seconds(read=1.0)
    seconds.add({"read": 0.5, "write": 2.0})
    assert seconds == {"read": 1.5, "write": 2.0}


def test_a_stage_that_fails_is_not_counted() -> None:
    seconds = Seconds()
    with pytest.raises(KeyError), seconds.of("read"):
        raise KeyError
    assert seconds == {}


def test_a_case_counts_until_it_is_removed_or_nobody_holds_it() -> None:
    hand, first = InHand(), case()
    # one case in the network, one that is prepared: running + preparing + the next one's preparing
    room = int((_ESTIMATE.running(Plan()) + 2 * _ESTIMATE.preparing()) / 0.97) + 1
    assert hand.leave_room_for(_ESTIMATE, 1), "with nothing in hand there is always room to try"
    hand.add(first)
    assert hand.leave_room_for(_ESTIMATE, room) and not hand.leave_room_for(_ESTIMATE, room - 2)
    second = case()
    hand.add(second)
    assert not hand.leave_room_for(_ESTIMATE, room)
    hand.remove(second)
    hand.remove(second)
    assert hand.leave_room_for(_ESTIMATE, room)
    hand.add(second)
    del second
    gc.collect()
    assert hand.leave_room_for(_ESTIMATE, room)


def test_a_case_that_is_ready_holds_its_data_and_no_more() -> None:
    hand, ready = InHand(), case(data=True)
    hand.add(ready)
    room = int((_ESTIMATE.running(Plan()) + _ESTIMATE.data + _ESTIMATE.preparing()) / 0.97) + 1
    assert hand.leave_room_for(_ESTIMATE, room) and not hand.leave_room_for(_ESTIMATE, room - 2)
