import io
import json
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from medmamba.site.events import FIELDS, Event
from medmamba.site.faults import FAULTS
from medmamba.site.log import Log
from medmamba.site.streams import Screen


class Other(Enum):
    """Not of the vocabulary."""

    STARTED = "started"


@pytest.fixture
def screen() -> Screen:
    return Screen(io.StringIO(), io.StringIO())


@pytest.mark.parametrize(
    ("event", "case", "fields"),
    [
        ("started", None, {"verb": "run", "version": "1"}),
        (Other.STARTED, None, {"verb": "run", "version": "1"}),
        (Event.STARTED, None, {"verb": "run"}),
        (Event.STARTED, None, {"verb": "run", "version": "1", "file": "ZZPHIZZ"}),
        (Event.STARTED, None, {"verb": "ZZPHIZZ", "version": "1"}),
        (Event.STARTED, None, {"verb": "run", "version": "ZZ PHI/ZZ"}),
        (Event.CASE_STARTED, "ZZPHIZZ", {}),
        (Event.CASE_STARTED, None, {}),
        (Event.STARTED, "0123456789ab", {"verb": "run", "version": "1"}),
        (Event.CASE_FAILED, "0123456789ab", {"error": "DataError", "fault": "ZZPHIZZ"}),
        (Event.CASE_FAILED, "0123456789ab", {"error": "ZZ PHI ZZ", "fault": "internal"}),
        (Event.CASES_FOUND, None, {"cases": True}),
        (Event.FINISHED, None, {"exit_code": 1, "written": 0, "failed": 0, "left": 0, "seconds": 0.0}),
        (Event.FINISHED, None, {"exit_code": 0, "written": 0, "failed": 0, "left": 0, "seconds": float("nan")}),
    ],
)
def test_what_the_vocabulary_does_not_have_is_not_told(screen: Screen, event: Any, case: Any, fields: Any) -> None:
    with pytest.raises(ValueError, match="event"):
        Log(screen).write(event, case, **fields)
    assert screen.out.getvalue() == ""  # type: ignore[attr-defined]


def test_a_file_gets_what_was_told_before(screen: Screen, tmp_path: Path) -> None:
    log = Log(screen)
    log.write(Event.STARTED, verb="run", version="0.1.0")
    log.keep_in(tmp_path / "out" / "log.jsonl")
    log.write(Event.CASE_FAILED, "0123456789ab", error="DataError", fault="truncated")
    log.close()
    lines = (tmp_path / "out" / "log.jsonl").read_text()
    assert lines == screen.out.getvalue()  # type: ignore[attr-defined]
    last = json.loads(lines.splitlines()[1])
    assert (last["level"], last["event"], last["case"]) == ("error", "case_failed", "0123456789ab")
    assert last["fields"]["sentence"].startswith("Truncated file.")


def test_every_event_has_its_fields_and_every_fault_a_sentence() -> None:
    assert set(FIELDS) == set(Event)
    assert all(fault.sentence.endswith((".", "?")) for fault in FAULTS.values())
