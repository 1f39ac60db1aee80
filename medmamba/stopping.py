"""Being asked to stop: by a scheduler (SIGTERM) or at the keyboard (SIGINT)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import MedMambaError


class StoppedError(MedMambaError):
    """A run was asked to stop and did, at a place from which it can go on. The exit code is a shell's own for it."""

    def __init__(self, problem: str, remedy: str, number: int) -> None:
        super().__init__(problem, remedy)
        self.exit_code = 128 + number


class StopRequest:
    """Whether the process was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.number = 0

    def __bool__(self) -> bool:
        return self.number != 0

    @property
    def name(self) -> str:
        """SIGTERM or SIGINT; empty before."""
        return signal.Signals(self.number).name if self.number else ""

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt  # asked a second time at the keyboard: now, not at the next good place
        self.number = number


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note SIGTERM and SIGINT instead of dying from them while the block runs; outside the main thread, do nothing."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request._take) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
