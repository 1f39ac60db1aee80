"""The death of a worker process, told at a moment when something can be done about it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Deaths:
    """Keeps what torch has to say of a worker's death until a batch is asked for.

    torch raises it in the middle of whatever goes on: a step of the optimiser, a message to the other processes, the
    writing of a checkpoint.
    """

    def __init__(self) -> None:
        self._tell: Callable[[int, FrameType | None], Any] | None = None
        self._asked = self._waiting = False

    def take_over(self) -> None:
        """Stand before torch's handler, where it has one (it has none outside the main thread)."""
        handler = signal.getsignal(signal.SIGCHLD)
        if callable(handler) and handler != self._take and threading.current_thread() is threading.main_thread():
            self._tell = handler
            signal.signal(signal.SIGCHLD, self._take)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let torch raise its RuntimeError in this block, for a death that came before it too."""
        self._asked = True
        try:
            if self._waiting and self._tell is not None:
                self._waiting = False
                self._tell(signal.SIGCHLD, None)
            yield
        finally:
            self._asked = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._asked and self._tell is not None:
            self._tell(number, frame)
        else:
            self._waiting = True


DEATHS = Deaths()
"""One for the process, as torch's handler is."""
