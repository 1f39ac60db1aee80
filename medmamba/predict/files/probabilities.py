"""Probabilities in the file that nnU-Net writes beside a label map, without holding them in memory."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...files import replacing
from ..arrays.scratch import let_go


@contextmanager
def npz(path: Path, shape: tuple[int, ...], scratch: Path | None = None) -> Iterator[NDArray[np.float32]]:
    """An array of `shape`, zero at first; `path` (.npz, compressed, key "probabilities") has it when the block ends.

    Until then it lies uncompressed in the folder `scratch`, or beside `path`: four bytes a value.
    """
    folder = scratch or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".probabilities-", dir=folder) as place:
        plain = Path(place) / "probabilities.npy"
        array = np.lib.format.open_memmap(plain, "w+", np.float32, shape)
        yield array
        let_go(array)
        with (
            replacing(path, durable=True) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            archive.write(plain, plain.name)
