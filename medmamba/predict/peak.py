"""The highest resident memory of this process within a stretch of time."""

import threading

import psutil  # type: ignore[import-untyped]

_EVERY = 0.02


class PeakMemory:
    """Looks at the process' resident memory fifty times a second while a block runs.

    The kernel's own high-water mark is left alone: those who watch this process from outside read it.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = 0

    def __enter__(self) -> "PeakMemory":
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._end.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, int(self._process.memory_info().rss))
