"""Standard output and error for our own words only.

Libraries written in C print the names of files that they cannot read. What they print goes nowhere; what this package
has to say goes to copies of the streams that only it holds.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True)
class Screen:
    """The process's streams, for words that hold no patient's data."""

    out: TextIO
    err: TextIO

    def say(self, text: str) -> None:
        """A line on the standard output; a reader who is gone is no reason to stop."""
        _line(self.out, text)

    def complain(self, text: str) -> None:
        """A line on the standard error."""
        _line(self.err, text)


def _line(stream: TextIO, text: str) -> None:
    with suppress(OSError, ValueError):
        stream.write(text + "\n")
        stream.flush()


@contextmanager
def own_streams(debug: bool = False) -> Iterator[Screen]:
    """Silence both streams for all but the `Screen` while the block runs; with `debug` the standard error stays."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    with ExitStack() as stack:
        screen = Screen(stack.enter_context(_copy(1)), stack.enter_context(_copy(2)))
        null = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        stack.enter_context(_silenced(1, null.fileno()))
        stack.enter_context(redirect_stdout(null))
        if not debug:
            stack.enter_context(_silenced(2, null.fileno()))
            stack.enter_context(redirect_stderr(null))
        yield screen


@contextmanager
def _copy(number: int) -> Iterator[TextIO]:
    """A stream of its own on what a file descriptor leads to."""
    stream = os.fdopen(os.dup(number), "w", encoding="utf-8", errors="replace")
    try:
        yield stream
    finally:
        with suppress(OSError):
            stream.close()


@contextmanager
def _silenced(number: int, null: int) -> Iterator[None]:
    before = os.dup(number)
    os.dup2(null, number)
    try:
        yield
    finally:
        os.dup2(before, number)
        os.close(before)
