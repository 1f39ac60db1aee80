"""Arrays in memory, or in files that are gone with them."""

import mmap
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def empty(shape: tuple[int, ...], dtype: DTypeLike, scratch: Path | None = None) -> NDArray[Any]:
    """Room for an array: in memory, or mapped from a file without a name in the folder `scratch`."""
    if scratch is None:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=scratch) as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def let_go(array: Any) -> None:
    """Of an array mapped from a file: hand its pages back to the system, which keeps what was written. Else nothing."""
    pages = getattr(array, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
