"""List files: which images to predict, one case a line.

.txt, .csv: a case a line, its channels separated by commas, in order; empty lines and lines that begin with # are
passed over. A line that names a folder means the DICOM series in it.
.json: a list with a path, or a list of paths, a case; or an object, name of the case -> path or paths.
Paths are looked for beside the list file first, then in the working folder.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import DataError

Entry = tuple[str | None, list[Path]]
"""Name of a case, where the list gives one, and its files in channel order."""

_FORM = 'Write a case a line, channels separated by commas; or as JSON ["FILE", ["FILE", "FILE"]] or {"NAME": "FILE"}.'


def read_list(file: Path) -> list[Entry]:
    """The entries of a list file. Raises DataError where it cannot be read or names none."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DataError(f"The list {file} cannot be read: {reason}.", _FORM) from error
    entries = _of_json(file, text) if file.suffix.lower() == ".json" else _of_lines(file, text)
    found = [(name, [_found(path, file) for path in paths]) for name, paths in entries]
    if not found:
        raise DataError(f"The list {file} names no image.", _FORM)
    return found


def _of_lines(file: Path, text: str) -> Iterator[tuple[str | None, list[str]]]:
    if "\0" in text:
        raise DataError(f"The list {file} cannot be read: it is not text.", _FORM)
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise DataError(f"The list {file} cannot be read: {error}.", _FORM) from error
    for number, row in enumerate(rows, start=1):
        paths = [part.strip() for part in row]
        if not any(paths) or paths[0].startswith("#"):
            continue
        if not all(paths):
            raise DataError(f"Line {number} of the list {file} has an empty place between its commas.", _FORM)
        yield None, paths


def _of_json(file: Path, text: str) -> Iterator[tuple[str | None, list[str]]]:
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"The list {file} is not valid JSON: {error}.", _FORM) from error
    if not isinstance(content, dict | list):
        raise DataError(f"The list {file} holds neither a list nor an object.", _FORM)
    pairs: list[tuple[str | None, Any]] = (
        list(content.items()) if isinstance(content, dict) else [(None, entry) for entry in content]
    )
    for place, (name, entry) in enumerate(pairs, start=1):
        paths = [entry] if isinstance(entry, str) else entry
        if not (isinstance(paths, list) and paths and all(isinstance(path, str) and path for path in paths)):
            raise DataError(f"Entry {name or place} of the list {file} is no path and no list of paths.", _FORM)
        if name is not None and (name in ("", ".", "..") or not name.isprintable() or set(name) & set("/\\")):
            raise DataError(f"The list {file} names a case {name!r}, which is no file name.", "Give it another name.")
        yield name, paths


def _found(text: str, file: Path) -> Path:
    path = Path(text).expanduser()
    beside = file.parent / path
    return beside if beside.exists() or not path.exists() else path
