"""nnU-Net checkpoints: written whole or not at all, read without running code from them."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import DataError, SetupError
from ..files import replacing

RUN = "medmamba"
"""Key of a checkpoint under which our trainers keep what nnU-Net's do not: see `medmamba.nnunet.loop.progress`."""
FINAL, BEST, LATEST = "checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth"
PREVIOUS = "previous"
"""Sub-folder of a fold for the checkpoints of an earlier run."""
_HISTORY = "history.jsonl"
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY: list[Any] = [
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name in files written with numpy 1
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int64", "bool")),
]
"""What nnU-Net's log lists hold besides plain numbers."""
_DAMAGED = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError),
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, struct.error, OverflowError, MemoryError),
)
"""What torch's reader comes to on bytes that are no pickle of its own."""


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU, read as `read_plain` does.

    Raises DataError when the file is missing, incomplete or no checkpoint of nnU-Net.
    """
    content = read_plain(path)
    if not isinstance(content, dict) or "network_weights" not in content:
        raise DataError(f"{path} holds no nnU-Net checkpoint.", "Give a file that nnU-Net or medmamba train wrote.")
    return content


def read_plain(path: Path) -> Any:
    """What a file of torch.save holds, tensors on the CPU.

    Only tensors, plain values and numpy scalars are read; anything else in the file, which could run code, is refused.
    Raises DataError when the file is missing, incomplete or holds such a thing.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"There is no checkpoint {path}.", "Train first, or name another checkpoint.") from error
    except _DAMAGED as error:
        reason = _in_our_words(error)
        raise DataError(
            f"{path} cannot be read as a checkpoint: {reason}", "It may be incomplete; use another one."
        ) from error


def _in_our_words(error: BaseException) -> str:
    """Why torch reads no file of weights here. Its own advice, to read with weights_only=False, would run the file."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "it is damaged, or holds more than weights and plain values." if "eights only" in said else said


def newest(fold: Path) -> Path | None:
    """The checkpoint of a fold folder to go on from: of those that can be read, the one furthest on."""
    found: dict[Path, tuple[int, int]] = {}
    for name in (FINAL, LATEST, BEST):
        try:
            content = read(fold / name)
        except DataError:
            continue
        if _whole(fold / name):
            found[fold / name] = reached(content)
    return max(found, key=lambda path: found[path], default=None)


def _whole(path: Path) -> bool:
    """Whether every part of a checkpoint has its checksum, which torch's reader does not ask for."""
    if not zipfile.is_zipfile(path):  # torch before 1.6 wrote no archive
        return True
    with zipfile.ZipFile(path) as archive:
        return archive.testzip() is None


def reached(content: dict[str, Any]) -> tuple[int, int]:
    """(epochs done, training steps done in the next one) of a checkpoint."""
    return int(content["current_epoch"]), int(content.get(RUN, {}).get("steps", 0))


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, or leave the older file as it was. SetupError when the disk is full or cannot be written."""
    try:
        with replacing(path, durable=True) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch's own writer turns a full disk into a RuntimeError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise SetupError(f"{path} cannot be written: {reason}.", "Make room on that disk.") from error


def put_aside(fold: Path) -> bool:
    """Move a fold's checkpoints and history into its sub-folder for earlier runs; whether there were checkpoints."""
    there = [fold / name for name in (FINAL, LATEST, BEST) if (fold / name).is_file()]
    there += [fold / _HISTORY] if there and (fold / _HISTORY).is_file() else []
    for file in there:
        (fold / PREVIOUS).mkdir(exist_ok=True)
        file.replace(fold / PREVIOUS / file.name)
    return bool(there)
