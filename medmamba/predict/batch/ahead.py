"""Work on the next items of a row while the present one is in other hands."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_LOOK = 0.2
"""Seconds after which a thread that waits looks whether it should still wait; signals are handled in between."""


class Ahead(Generic[Item, Made]):
    """Makes something of each item in threads, a few items ahead of the one who takes them in order.

    Parameters
    ----------
    items: in the order in which they are taken.
    make: item -> what is taken; called in a thread. What it raises is raised by `in_order`, and ends the row.
    most: how many may be ready, or in the making, beyond the one in hand; 0: each is made when it is asked for.
    may: whether this item may be made while the one in hand is not finished, such as that there is memory for both.

    Nothing is made before `in_order` is iterated.
    """

    def __init__(
        self,
        items: Sequence[Item],
        make: Callable[[Item], Made],
        most: int = 1,
        may: Callable[[Item], bool] = lambda item: True,
    ) -> None:
        self._items, self._make, self._most, self._may = list(items), make, most, may
        self._next = self._taken = self._finished = 0
        self._ready: dict[int, Made] = {}
        self._ended = False
        self._faults: dict[int, BaseException] = {}
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(max(1, most))]

    def in_order(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[Made]:
        """What was made of each item, in order; asking for the next one says that the last one is finished.

        Ends early when `stopped` says so. What is being made then is waited for: threads cannot be broken off.
        """
        for thread in self._threads:
            thread.start()
        try:
            for place in range(len(self._items)):
                with self._changed:
                    self._finished = place
                    self._changed.notify_all()
                    while place not in self._ready and place not in self._faults and not stopped():
                        self._changed.wait(_LOOK)
                    if stopped():
                        return
                    if place in self._faults:
                        raise self._faults[place]
                    made = self._ready.pop(place)
                    self._taken = place + 1
                    self._changed.notify_all()
                yield made
                del made  # it may be large
        finally:
            self._end()

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._ready.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (place := self._claimed()) is not None:
            try:
                made = self._make(self._items[place])
            except BaseException as error:  # whoever waits for the item must hear of it
                with self._changed:
                    self._faults[place] = error
                    self._changed.notify_all()
                return
            with self._changed:
                if not self._ended:
                    self._ready[place] = made
                del made
                self._changed.notify_all()

    def _claimed(self) -> int | None:
        """The place of the next item, once it may be made; None when there is no more."""
        with self._changed:
            while not self._ended and self._next < len(self._items):
                place = self._next
                idle = place <= self._finished
                if idle or (place < self._taken + self._most and self._may(self._items[place])):
                    self._next += 1
                    return place
                self._changed.wait(_LOOK)
            return None
