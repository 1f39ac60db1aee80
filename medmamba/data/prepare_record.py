"""What a prepared dataset was made from, so that a second run does only what is left to do."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from ..errors import DataError
from ..files import write_json
from .prepare_tasks import AS_IS, Task

FILE_NAME = "prepared.json"
_EVERY = 2.0
"""Seconds between two records: so much work may be done twice after a kill."""
Stamp = list[Any]
"""[path, size in bytes, time of change in nanoseconds]."""


class Record:
    """prepared.json: target -> how it was made, from which files, and what they and it looked like then."""

    def __init__(self, folder: Path, source: Path, card: str) -> None:
        self._folder, self._source = folder, source
        self._lock, self._last = Lock(), time.monotonic()
        self._head = {"card": card, "source": str(source)}
        self.entries: dict[str, dict[str, Any]] = {}
        path = folder / FILE_NAME
        if path.is_file():
            try:
                self.entries = dict(json.loads(path.read_text(encoding="utf-8"))["files"])
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path} cannot be read ({error}).", "Remove the dataset's folder.") from error
        elif folder.exists() and any(folder.iterdir()):
            problem = f"{folder} is there already and was not made by `medmamba datasets prepare`."
            raise DataError(problem, "Rename or remove it, or choose another --data-root.")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.save()

    def up_to_date(self, task: Task, copy: bool) -> bool:
        """Whether the task's targets are what it would make. `copy`: a link to the source does not count."""
        paths = [self._folder / target for target in task.targets]
        if not all(path.is_file() for path in paths):
            return False
        if task.action == AS_IS and os.path.samefile(paths[0], task.sources[0]):
            return not copy
        return self.entries.get(task.targets[0]) == self._entry(task)

    def add(self, task: Task) -> None:
        """Note a finished task; now and then the file is written."""
        with self._lock:
            self.entries[task.targets[0]] = self._entry(task)
            if time.monotonic() - self._last > _EVERY:
                self.save()

    def keep_only(self, tasks: Sequence[Task]) -> list[str]:
        """Remove the files of tasks that are no longer there; return their names."""
        wanted = {target for task in tasks for target in task.targets}
        removed = []
        for first in [name for name in self.entries if name not in {task.targets[0] for task in tasks}]:
            for target, *_ in self.entries.pop(first)["targets"]:
                if target not in wanted and (self._folder / target).is_file():
                    (self._folder / target).unlink()
                    removed.append(target)
        return removed

    def save(self) -> None:
        """Write the file, unless it says the same already."""
        self._last = time.monotonic()
        content = {**self._head, "files": dict(sorted(self.entries.items()))}
        path = self._folder / FILE_NAME
        if not path.is_file() or json.loads(path.read_text(encoding="utf-8")) != content:
            write_json(path, content)

    def _entry(self, task: Task) -> dict[str, Any]:
        return {
            "how": task.how,
            "sources": [_stamp(path, self._source) for path in task.sources],
            "targets": [_stamp(self._folder / target, self._folder) for target in task.targets],
        }


def _stamp(path: Path, below: Path) -> Stamp:
    state = path.stat()
    return [os.path.relpath(path, below), state.st_size, state.st_mtime_ns]
