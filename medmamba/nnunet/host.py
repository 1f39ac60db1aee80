"""Living with nnU-Net in one process: its folders, its environment variables, its print()."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from nnunetv2.utilities.dataset_name_id_conversion import convert_id_to_dataset_name

from ..errors import DataError, SetupError


class _Muted:
    """A stand-in for sys.stdout that drops what one thread writes and hands on what the others write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def muted() -> Iterator[None]:
    """Keep this thread's print() off the console.

    Other threads keep printing, so a progress display that refreshes itself is not stopped.
    """
    stream = sys.stdout
    sys.stdout = _Muted(stream)
    try:
        yield
    finally:
        sys.stdout = stream


@contextmanager
def variables(**values: str | None) -> Iterator[None]:
    """Set environment variables (None: remove) for the duration of a block."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def folder(variable: str) -> Path:
    """The folder in one of nnU-Net's variables. SetupError when it is not set."""
    value = os.environ.get(variable)
    if not value:
        raise SetupError(f"The variable {variable} is not set.", "Set it, or use medmamba's --data-root.")
    return Path(value)


def dataset_name(dataset_id: int) -> str:
    """`Dataset004_Hippocampus` for 4. DataError when no folder, or more than one name, has that number."""
    try:
        return str(convert_id_to_dataset_name(dataset_id))
    except RuntimeError as error:
        problem = "More than one name goes" if "More than one" in str(error) else "No dataset goes"
        places = ", ".join(
            os.environ.get(name, "-") for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
        )
        raise DataError(f"{problem} with dataset number {dataset_id:03d}.", f"Looked in {places}.") from error
