"""What a prepared dataset was made from, so that a second run does only what is left to do."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from ...errors import DataError
from ...files import write_json
from .tasks import AS_IS, Task

FILE_NAME = "prepared.json"
_EVERY, _SHARE = 2.0, 20
"""Seconds between two records, but at least so many times as long as the writing takes: after a kill so much work may
be done twice."""
Stamp = list[Any]
"""[last parts of the path, size in bytes, time of change in nanoseconds]."""


class Record:
    """prepared.json: target -> how it was made, from which files, and what they and it looked like then."""

    def __init__(self, folder: Path, source: Path, card: str) -> None:
        self._folder, self._lock = folder, Lock()
        self._due, self._changed = time.monotonic() + _EVERY, False
        self._head = {"card": card, "source": str(source)}
        self.entries: dict[str, dict[str, Any]] = {}
        path = folder / FILE_NAME
        if path.is_file():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                self.entries = dict(content.pop("files"))
                self._changed = content != self._head
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path} cannot be read ({error}).", "Remove the dataset's folder.") from error
        elif any(folder.iterdir()):
            problem = f"{folder} is there already and was not made by `medmamba datasets prepare`."
            raise DataError(problem, "Rename or remove it, or choose another --data-root.")
        else:
            self._changed = True
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
            entry = self._entry(task)
            if self.entries.get(task.targets[0]) != entry:
                self.entries[task.targets[0]] = entry
                self._changed = True
            if time.monotonic() > self._due:
                self.save()

    def keep_only(self, tasks: Sequence[Task]) -> list[str]:
        """Remove the files of tasks that are no longer there; return their names."""
        wanted = {target for task in tasks for target in task.targets}
        removed = []
        for first in [name for name in self.entries if name not in {task.targets[0] for task in tasks}]:
            self._changed = True
            for target, *_ in self.entries.pop(first)["targets"]:
                if target not in wanted and (self._folder / target).is_file():
                    (self._folder / target).unlink()
                    removed.append(target)
        return removed

    def save(self) -> None:
        """Write the file, unless it says the same already."""
        if not self._changed:
            return
        start = time.monotonic()
        write_json(self._folder / FILE_NAME, {**self._head, "files": dict(sorted(self.entries.items()))})
        self._changed = False
        self._due = time.monotonic() + max(_EVERY, _SHARE * (time.monotonic() - start))

    def _entry(self, task: Task) -> dict[str, Any]:
        return {
            "how": task.how,
            "sources": [_stamp("/".join(path.parts[-3:]), path) for path in task.sources],
            "targets": [_stamp(target, self._folder / target) for target in task.targets],
        }


def _stamp(name: str, path: Path) -> Stamp:
    state = path.stat()
    return [name, state.st_size, state.st_mtime_ns]
