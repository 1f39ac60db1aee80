"""In which line of a TOML file a key stands: the standard library's parser does not say."""

import re
from collections.abc import Sequence

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*")
_PART = re.compile(_KEY)
_QUIET = re.compile(r'"""|' + r"'''" + r'|"(?:[^"\\]|\\.)*"|' + r"'[^']*'|#.*")

Key = tuple[str | int, ...]


def line_of(text: str, key: Sequence[str | int]) -> int:
    """The line (from 1) of a key in a TOML text that parses; of its nearest parent when it has no line of its own.

    `key` is a path as pydantic gives it: ("layout", 1, "images", 0). Members of an array or inline table stand in the
    line of the key that holds them. 1 when nothing of the path is there.
    """
    lines = _lines(text)
    wanted = tuple(key)
    while wanted:
        if wanted in lines:
            return lines[wanted]
        wanted = wanted[:-1]
    return 1


def _lines(text: str) -> dict[Key, int]:
    """Key path -> line, of every table header and every key that opens a line."""
    found: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    table: Key = ()
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        opens = not depth and not quote
        if opens and (head := re.match(r"\s*(\[\[?)", line)):
            table = _table(line, len(head[1]) == 2, counts)
            _add(found, table, number)
            continue
        if opens and (match := _PATH.match(line)) and line[match.end() :].startswith("="):
            _add(found, table + _parts(match[1]), number)
            line = line[match.end() + 1 :]
        depth, quote = _after(line, depth, quote)
    return found


def _add(found: dict[Key, int], key: Key, number: int) -> None:
    for end in range(1, len(key) + 1):
        found.setdefault(key[:end], number)


def _parts(path: str) -> Key:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in _PART.findall(path))


def _table(line: str, is_array: bool, counts: dict[Key, int]) -> Key:
    """The path of a table header; the members of an array of tables are counted, and later headers lie in its last."""
    match = _PATH.match(line.strip().lstrip("["))
    parts = _parts(match[1]) if match else ()
    path: Key = ()
    for place, part in enumerate(parts):
        path = (*path, part)
        last = place == len(parts) - 1
        if last and is_array:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _after(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Open brackets and the open multi-line quote after a line (or the value part of one)."""
    place = 0
    while place < len(line):
        if quote:
            end = line.find(quote, place)
            if end < 0:
                return depth, quote
            place, quote = end + 3, ""
            continue
        if match := _QUIET.match(line, place):
            place = match.end()
            quote = match[0] if match[0] in ('"""', "'''") else ""
            continue
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(line[place], 0)
        place += 1
    return depth, quote
