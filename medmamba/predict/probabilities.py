"""Probabilities in the file that nnU-Net writes beside a label map, without holding them in memory."""

import mmap
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..files import replacing


class Pages:
    """A float32 array in a file: what has been written leaves this process's memory when told to."""

    def __init__(self, file: Path, shape: tuple[int, ...]) -> None:
        self.array = np.lib.format.open_memmap(file, "w+", np.float32, shape)

    def drop(self) -> None:
        """Hand the pages back to the system, which keeps or writes them as it likes; none of them is lost."""
        pages = getattr(self.array, "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)


@contextmanager
def npz(path: Path, shape: tuple[int, ...], scratch: Path | None = None) -> Iterator[Pages]:
    """An array of `shape`, zero at first; `path` (.npz, compressed, key "probabilities") has it when the block ends.

    Until then it lies uncompressed in the folder `scratch`, or beside `path`: four bytes a value.
    """
    folder = scratch or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".probabilities-", dir=folder) as place:
        plain = Path(place) / "probabilities.npy"
        pages = Pages(plain, shape)
        yield pages
        pages.drop()
        del pages.array
        with (
            replacing(path, durable=True) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            archive.write(plain, plain.name)
