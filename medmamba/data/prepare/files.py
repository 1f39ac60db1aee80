"""Patterns of file names, and the files below a folder."""

import os
import re
from functools import lru_cache
from pathlib import Path, PurePath

from ..layouts import PLACEHOLDER

_PIECE = re.compile(r"\{[a-z_]+\}|\*\*/|\*|[^{*]+|\{")
_JUNK = re.compile(r"\.|__MACOSX$|Thumbs\.db$|desktop\.ini$", re.IGNORECASE)


@lru_cache(maxsize=4096)
def expression(pattern: str, where: tuple[tuple[str, str], ...] = ()) -> re.Pattern[str]:
    """A layout's pattern as regular expression over a relative path, with one named group for each placeholder.

    `{name}` is one name without "/", or what `where` allows; `*` is anything without "/"; `**/` any folders.
    """
    allowed, seen, text = dict(where), set(), ""
    for piece in _PIECE.findall(pattern):
        if match := PLACEHOLDER.fullmatch(piece):
            name = match[1]
            text += f"(?P={name})" if name in seen else f"(?P<{name}>{allowed.get(name, '[^/]+?')})"
            seen.add(name)
        else:
            text += {"**/": "(?:.*/)?", "*": "[^/]*"}.get(piece, re.escape(piece))
    return re.compile(text)


def files_below(folder: Path, leave_out: Path | None = None) -> list[str]:
    """Paths of all files below a folder, relative, with "/", sorted; hidden files and what systems add are skipped.

    Links to folders are followed, each folder once. `leave_out`: a folder that is not entered.
    """
    found: list[str] = []
    seen: set[str] = {os.path.realpath(leave_out)} if leave_out else set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _JUNK.match(name))
        within = PurePath(parent).relative_to(folder)
        found += [(within / name).as_posix() for name in names if not _JUNK.match(name) and _is_there(parent, name)]
    return sorted(found)


def _is_there(parent: str, name: str) -> bool:
    """Not so for a link to a file that was never fetched."""
    path = os.path.join(parent, name)
    return not os.path.islink(path) or os.path.exists(path)


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sorting key in which "2" comes before "10"."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
