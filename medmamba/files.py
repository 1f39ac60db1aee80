"""Files that are there whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import DataError, SetupError

_TEMPORARY = ".writing-"


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, with the same endings, that takes its place when the block ends well.

    The parent folder is made. After an error nothing is left behind and an older file stays as it was. `durable`: the
    file is on the disk before it takes its place, so that not even a power failure leaves half of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn the system's error in writing `path` within the block into a SetupError that names it."""
    try:
        yield
    except OSError as error:
        problem = f"{path} could not be written: {error.strerror or error}."
        raise SetupError(problem, "Make room on the disk, or choose another place.") from error


def remove_leftovers(folder: Path) -> None:
    """Remove what `replacing` left in a folder when its process was killed. No other process may be writing there."""
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write `content` as indented JSON, keys in their own order (nnU-Net reads region order from it)."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. DataError names the file when it is missing or not a JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", "Check the path.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}.", "Write it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object.", "Write it again.")
    return content
