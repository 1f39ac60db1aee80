"""log.jsonl: a line an event, from the closed vocabulary of `events` and nothing else."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from .events import FIELDS, LEVELS, OF_A_CASE, PSEUDONYM, Event
from .faults import FAULTS
from .streams import Screen


class Log:
    """Writes events to the standard output, and to a file once there is one.

    Parameters
    ----------
    screen: where the standard output is.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._file: TextIO | None = None
        self._lines: list[str] = []

    def keep_in(self, file: Path) -> None:
        """Write to a file, too, beginning with what was written so far. OSError where that cannot be."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w", encoding="utf-8")
        for line in self._lines:
            self._append(line)

    def write(self, event: Event, case: str | None = None, **fields: Any) -> None:
        """Note an event.

        case: a pseudonym, for events of a case. fields: all that the event has.

        Raises ValueError for an event, a field or a value that the vocabulary does not have.
        """
        if not isinstance(event, Event):
            raise ValueError(f"{type(event).__name__} is no event of the log.")
        known = FIELDS[event]
        if set(fields) != set(known):
            raise ValueError(f"The event {event.value} has the fields {sorted(known)}, not {sorted(fields)}.")
        if wrong := [name for name, value in fields.items() if not known[name](value)]:
            raise ValueError(f"The event {event.value} cannot tell this value of {wrong[0]}.")
        if (case is None) == (event in OF_A_CASE) or (case is not None and not PSEUDONYM(case)):
            raise ValueError(f"The event {event.value} names a case by its pseudonym, or names none.")
        self._put(event, case, fields)

    def _put(self, event: Event, case: str | None, fields: dict[str, Any]) -> None:
        told = dict(fields)
        if "fault" in told:
            told["sentence"] = str(FAULTS[told["fault"]])
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = {"t": moment, "level": LEVELS.get(event, "info"), "event": event.value, "case": case, "fields": told}
        line = json.dumps(entry)
        self._screen.say(line)
        if self._file is None:
            self._lines.append(line)
        else:
            self._append(line)

    def _append(self, line: str) -> None:
        assert self._file is not None
        with suppress(OSError):  # a full disk does not end a run whose outputs may still fit
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
