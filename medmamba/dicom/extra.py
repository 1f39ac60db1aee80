"""The packages that DICOM segmentations need: the extra `dicom`."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import SetupError


def require() -> tuple[Any, Any]:
    """The modules highdicom and pydicom. SetupError, which says what to install, where one is missing."""
    try:
        import highdicom
        import pydicom
    except ImportError as error:
        problem = f"DICOM segmentations need the package {error.name}, which is not installed."
        raise SetupError(problem, "pip install 'medmamba[dicom]'") from error
    return highdicom, pydicom


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and logs of these packages while the block runs: they repeat values of the files, names included."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    before = [logger.propagate for logger in loggers]
    silent = logging.NullHandler()  # without a handler the logs would go to the standard error
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(silent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.propagate = propagate
            logger.removeHandler(silent)
