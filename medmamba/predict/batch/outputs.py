"""The output folder of a batch: where files are made, how they appear, and whether one that is there is complete."""

import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from ... import runtime
from ...data.integrity import check_image
from ...errors import MedMambaError, SetupError
from ..files.cases import Case
from ..files.headers import probe
from ..files.segmentation import is_of_series
from ..files.writing import SEGMENTATION
from ..recipe import Recipe

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_STAGING, _STARTING = ".predicting-", ".starting-"
_LOCK = "lock"
_ABANDONED = 3600.0
"""Seconds after which a folder that never got its lock has no owner any more."""
_SPARE = 2**20


class Staging:
    """A folder inside the output folder that belongs to one process, in which files are made before they appear.

    It is on the same disk, so that a rename is enough for the whole file to appear at once. The process holds a lock in
    it as long as it lives: folders of processes that were killed are told from those of others that work in the same
    output folder, on this machine or, where the file system passes locks on, on another one.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        starting = Path(tempfile.mkdtemp(prefix=_STARTING, dir=output))
        self._lock = (starting / _LOCK).open("w")
        _try_lock(self._lock)
        self.folder = starting.with_name(starting.name.replace(_STARTING, _STAGING, 1))
        starting.rename(self.folder)  # from here on others see it, with its lock

    def close(self) -> None:
        """Remove the folder with what is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    @contextmanager
    def case(self, file_name: str) -> Iterator[Path]:
        """A path for a label map; what lies beside it when the block ends well appears in the output folder.

        The label map comes last, so that its presence says that the rest is there. After an error nothing is left.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            file = Path(folder) / file_name
            yield file
            beside = sorted(path for path in Path(folder).iterdir() if path.is_file() and path != file)
            for path in (*beside, file):
                _sync(path)
            for path in (*beside, file):
                require_no_folder(self.output / path.name)
            if beside:  # an older label map must not stand for newer probabilities
                (self.output / file_name).unlink(missing_ok=True)
            for path in (*beside, file):
                os.replace(path, self.output / path.name)
            _sync(self.output)

    def as_outside(self, text: str) -> str:
        """A sentence about a file in here as one about the file in the output folder."""
        return re.sub(rf"{re.escape(str(self.folder))}/[^/]+", str(self.output), text)

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the output folder, whole or not at all."""
        require_no_folder(self.output / name)
        temporary = self.folder / name
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        os.replace(temporary, self.output / name)


@contextmanager
def staging(output: Path) -> Iterator[Staging]:
    """A `Staging` for the block; what killed processes left in the output folder is removed first.

    Raises SetupError when nothing can be written there.
    """
    try:
        str(output).encode("utf-8")
    except UnicodeEncodeError as error:  # ITK would end the whole process
        raise SetupError(f"The name {str(output)!a} is not UTF-8.", "Choose another --output.") from error
    try:
        output.mkdir(parents=True, exist_ok=True)
        remove_abandoned(output)
        place = Staging(output)
    except OSError as error:
        raise SetupError(
            f"Nothing can be written to {output}: {error.strerror or error}.", "Choose another --output."
        ) from error
    try:
        yield place
    finally:
        place.close()


def remove_abandoned(output: Path) -> None:
    """Remove staging folders whose process is gone; those of living ones stay as they are."""
    for folder in output.glob(f"{_STAGING}*"):
        if _is_abandoned(folder / _LOCK):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in output.glob(f"{_STARTING}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            return _try_lock(file)
    except FileNotFoundError:  # half removed
        return True
    except OSError:
        return False


def _try_lock(file: IO[str]) -> bool:
    """Take a lock that ends with the process; False where another one holds it, or the file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    with suppress(PermissionError):  # Windows opens no folders
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def require_no_folder(path: Path) -> None:
    """Raise SetupError when a folder stands where a file is to be."""
    if path.is_dir() and not path.is_symlink():
        raise SetupError(f"{path} is a folder: no file can take its place.", "Move it, or choose another --output.")


def require_space(output: Path, shape: tuple[int, ...], recipe: Recipe, probabilities: bool) -> None:
    """Raise SetupError when the disk is too full for the outputs of an image of this shape."""
    voxels = int(np.prod(shape, dtype=np.int64))
    needed = _SPARE + voxels * np.dtype(recipe.label_dtype).itemsize // 16  # label maps shrink at least so much
    if probabilities:
        needed += voxels * recipe.heads * 4
    free = runtime.free_disk(output)
    if free < needed:
        raise SetupError(
            f"The disk of {output} has {free / 2**20:.1f} MB left, and this case may take {needed / 2**20:.1f} MB.",
            "Make room, or choose another --output.",
        )


def is_complete(file: Path, case: Case, recipe: Recipe, probabilities: bool) -> bool:
    """Whether a label map is there, whole (checksum included) and of its image's size; probabilities likewise."""
    if not file.is_file():
        return False
    try:
        shape = tuple(probe(case, recipe).shape)
        if file.suffix == SEGMENTATION:
            same = is_of_series(file, case)
        else:
            alone = replace(recipe, channels=recipe.channels[:1])
            same = tuple(probe(Case(case.name, (file,), "files"), alone).shape) == shape
            if same:
                check_image(file)
    except (MedMambaError, OSError, ValueError, RuntimeError):
        return False
    stem = file.with_name(case.name)
    return same and (not probabilities or _has_probabilities(stem, (recipe.heads, *shape)))


def _has_probabilities(stem: Path, shape: tuple[int, ...]) -> bool:
    """Whether `stem`.npz and .pkl are there and the first is a whole archive with an array of this shape."""
    if not stem.with_name(f"{stem.name}.pkl").is_file():
        return False
    try:
        with zipfile.ZipFile(stem.with_name(f"{stem.name}.npz")) as archive:
            with archive.open("probabilities.npy") as entry:
                version = np.lib.format.read_magic(entry)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else _header_2
                found = tuple(read(entry)[0])
            return archive.testzip() is None and found == shape
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False


def _header_2(entry: Any) -> Any:
    return np.lib.format.read_array_header_2_0(entry)


def write_model_files(place: Staging, plans: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Write plans.json and dataset.json, which post-processing and ensembling want beside predictions, as nnU-Net."""
    for name, content in (("plans.json", plans), ("dataset.json", dataset)):
        place.write_text(name, json.dumps(content, indent=2) + "\n")
