"""Cases of a batch that failed, while the others went on."""

import errno
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError, MedMambaError

_SHOWN = 5
"""Failures that the sentence names, when there are many."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class BatchError(DataError):
    """Some cases of a batch failed. The others are done: `written` are their files, `failures` maps case -> reason."""

    exit_code = 6

    def __init__(self, written: list[Path], failures: dict[str, str], what: str = "predictions were written") -> None:
        self.written = written
        self.failures = failures
        shown = [f"{case}: {reason}" for case, reason in failures.items()]
        if len(shown) > _SHOWN + 1:
            shown[_SHOWN:] = [f"and {len(shown) - _SHOWN} more"]
        reasons, total = "; ".join(shown), len(written) + len(failures)
        super().__init__(f"{len(failures)} of {total} cases failed: {reasons}.", f"{len(written)} {what}.")


def reason(error: BaseException) -> str:
    """An error in one line."""
    if any(getattr(one, "errno", None) in _FULL for one in _chain(error)):
        return "the disk is full"
    if isinstance(error, MemoryError):
        return "there was not enough memory"
    text = str(error).strip()
    line = text.splitlines()[0].rstrip(".") if text else type(error).__name__
    if isinstance(error, MedMambaError) or not text:
        return line
    return f"{type(error).__name__}: {line}" if isinstance(error, KeyError | IndexError | AssertionError) else line


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
