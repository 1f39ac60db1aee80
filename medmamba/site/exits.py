"""The exit codes of the container, and which one a run ends with."""

import errno
from collections.abc import Collection
from enum import IntEnum

from ..errors import BundleError, ConfigError, DataError, SetupError


class ExitCode(IntEnum):
    """What the process returns; anything but 0 means that something asked for is not there."""

    OK = 0
    USAGE = 2
    INPUT = 3
    RESOURCES = 4
    BUNDLE = 5
    SOME_FAILED = 6
    INTERNAL = 7


MEANING = {
    ExitCode.OK: "All that was asked for is there.",
    ExitCode.USAGE: "The arguments cannot be used.",
    ExitCode.INPUT: "The input is invalid.",
    ExitCode.RESOURCES: "Memory, disk or device do not suffice, or nothing can be written.",
    ExitCode.BUNDLE: "The bundle is missing or refused.",
    ExitCode.SOME_FAILED: "Some cases failed or were not reached; the others are written.",
    ExitCode.INTERNAL: "An error of the program itself.",
}
_OF_ERRORS = (
    (BundleError, ExitCode.BUNDLE),
    (DataError, ExitCode.INPUT),
    (ConfigError, ExitCode.USAGE),
    (SetupError, ExitCode.RESOURCES),
    (MemoryError, ExitCode.RESOURCES),
    (OSError, ExitCode.INPUT),  # of a file that was there when the input was listed
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def code_of(error: BaseException) -> ExitCode:
    """What a run ends with that this error ended, and what a case counts as that it spoilt."""
    if getattr(error, "errno", None) in _NO_ROOM:
        return ExitCode.RESOURCES
    return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), ExitCode.INTERNAL)


def code_of_run(written: int, failed: Collection[ExitCode], left: int = 0) -> ExitCode:
    """What a run over cases ends with.

    written: cases whose outputs are there. failed: why each of the others is not. left: cases that were not reached.

    With no output at all the gravest reason counts, so that a machine which is too small is told from bad images.
    """
    if not failed and not left:
        return ExitCode.OK
    if written or left:
        return ExitCode.SOME_FAILED
    return max(failed)
