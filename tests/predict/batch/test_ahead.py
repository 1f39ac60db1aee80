import threading
import time

import pytest

from medmamba.predict.batch.ahead import Ahead


@pytest.mark.parametrize("most", [0, 1, 3])
def test_everything_comes_in_order_and_never_too_early(most: int) -> None:
    made: list[int] = []
    taken = 0

    def make(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        made.append(item)
        return item * item

    for number, value in enumerate(Ahead(range(12), make, most).in_order()):
        taken += 1
        assert value == number**2
        time.sleep(0.005)
        assert max(made) <= number + most
    assert taken == 12 and sorted(made) == list(range(12))


def test_threads_make_at_once() -> None:
    together = threading.Barrier(2, timeout=20)
    ahead = Ahead(range(3), lambda item: item == 0 or together.wait() >= 0, most=2)
    assert list(ahead.in_order()) == [True, True, True]


def test_what_there_is_no_room_for_waits() -> None:
    begun: list[int] = []
    values = Ahead(range(3), lambda item: begun.append(item), 2, lambda item: item != 1).in_order()
    next(values)
    time.sleep(0.05)
    assert begun == [0]
    next(values)
    time.sleep(0.05)
    assert begun == [0, 1, 2]
    assert list(values) == [None]


def test_it_ends_when_asked_to() -> None:
    stop = threading.Event()
    values = Ahead(range(100), lambda item: item, 2).in_order(stop.is_set)
    assert next(values) == 0
    stop.set()
    assert list(values) == []
    assert not [thread for thread in threading.enumerate() if "_work" in thread.name]


def test_no_items() -> None:
    assert list(Ahead([], lambda item: item).in_order()) == []


@pytest.mark.parametrize("most", [0, 1, 3])
def test_what_making_raises_is_raised_to_who_waits_for_it(most: int) -> None:
    def make(item: int) -> float:
        return 1 / (2 - item)

    values = Ahead(range(6), make, most).in_order()
    assert next(values) == 0.5 and next(values) == 1
    with pytest.raises(ZeroDivisionError):
        next(values)
