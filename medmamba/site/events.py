"""Everything that the container can say while it works: events, and the fields that each of them has."""

import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from .exits import ExitCode
from .faults import FAULTS

Check = Callable[[Any], bool]
"""Whether a value may be told."""


class Event(Enum):
    """What can happen."""

    STARTED = "started"
    MODE_CHOSEN = "mode_chosen"
    BUNDLE_ACCEPTED = "bundle_accepted"
    DEVICE_READY = "device_ready"
    CASES_FOUND = "cases_found"
    CASE_STARTED = "case_started"
    CASE_WRITTEN = "case_written"
    CASE_KEPT = "case_kept"
    CASE_GOOD = "case_good"
    CASE_FAILED = "case_failed"
    CASE_PREPARED = "case_prepared"
    CASE_SCORED = "case_scored"
    CASE_NOT_SCORED = "case_not_scored"
    PARAMETERS_READ = "parameters_read"
    PAIRS_FOUND = "pairs_found"
    FILE_WRITTEN = "file_written"
    SELF_TEST_PASSED = "self_test_passed"
    NO_SELF_TEST = "no_self_test"
    STOP_ASKED = "stop_asked"
    REFUSED = "refused"
    FINISHED = "finished"


def one_of(*values: str) -> Check:
    """One of some words."""
    return lambda value: value in values


def like(pattern: str) -> Check:
    """Text of this form as a whole."""
    form = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def several(check: Check, most: int = 64) -> Check:
    """A list of such values."""
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(check, value))


def whole(value: Any) -> bool:
    """A count."""
    return type(value) is int and value >= 0


def number(value: Any) -> bool:
    """A finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def code(value: Any) -> bool:
    """A code of `faults`."""
    return isinstance(value, str) and value in FAULTS


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


MODES = ("native", "grand-challenge", "medperf", "brats-mlcube", "brats-2025")
VERBS = (
    "run",
    "infer",
    "check",
    "prepare",
    "sanity_check",
    "statistics",
    "evaluate",
    "report",
    "selftest",
    "describe",
)
PARAMETERS = (
    "channels",
    "dataset",
    "device",
    "expect",
    "fast",
    "lesion_wise",
    "max_ram",
    "max_vram",
    "min_cases",
    "output_format",
    "precision",
    "raw_labels",
    "tolerance",
)
"""What a parameters file may set. Whose hands a name gets into (keys, private lists, names, paths) is not among them:
such files come from those who run a benchmark, not from the site."""
FILES = ("report.json", "report.html", "results.yaml", "metrics.json", "statistics.yaml")
"""What is written once a run."""
_DIGEST = like(r"sha256:[0-9a-f]{64}")
_VERSION = like(r"[0-9A-Za-z.+]{1,40}")
_CLASS = like(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
_CASE = {
    "seconds": number,
    "shape": several(whole),
    "spacing": several(number),
    "peak_memory": _maybe(whole),
    "gpu_memory": _maybe(whole),
    "warnings": several(code),
}
_LOOKED_AT = {"shape": several(whole), "spacing": several(number), "warnings": several(code)}
_WRONG = {"error": _CLASS, "fault": code}
FIELDS: Mapping[Event, Mapping[str, Check]] = {
    Event.STARTED: {"verb": one_of(*VERBS), "version": _VERSION},
    Event.MODE_CHOSEN: {"mode": one_of(*MODES), "how": one_of("detected", "forced")},
    Event.BUNDLE_ACCEPTED: {"digest": _DIGEST, "folds": whole},
    Event.DEVICE_READY: {"device": one_of("cpu", "cuda", "mps"), "precision": like(r"[a-z0-9]{1,12}"), "engine": _flag},
    Event.CASES_FOUND: {"cases": whole},
    Event.CASE_STARTED: {},
    Event.CASE_WRITTEN: _CASE,
    Event.CASE_KEPT: {},
    Event.CASE_GOOD: _LOOKED_AT,
    Event.CASE_PREPARED: _LOOKED_AT,
    Event.CASE_SCORED: {},
    Event.CASE_NOT_SCORED: _WRONG,
    Event.PARAMETERS_READ: {"keys": several(one_of(*PARAMETERS))},
    Event.PAIRS_FOUND: {"pairs": whole, "surplus": whole},
    Event.FILE_WRITTEN: {"file": one_of(*FILES)},
    Event.CASE_FAILED: _WRONG,
    Event.SELF_TEST_PASSED: {"identical": _flag, "logits": number, "voxels": number},
    Event.NO_SELF_TEST: {},
    Event.STOP_ASKED: {"signal": one_of("SIGTERM", "SIGINT")},
    Event.REFUSED: _WRONG,
    Event.FINISHED: {
        "exit_code": lambda value: value in list(ExitCode),
        "written": whole,
        "failed": whole,
        "left": whole,
        "seconds": number,
    },
}
"""Event -> its fields and what their values may be. All are given, and no others."""
LEVELS = {
    Event.CASE_FAILED: "error",
    Event.CASE_NOT_SCORED: "error",
    Event.REFUSED: "error",
    Event.STOP_ASKED: "warning",
}
"""info, where an event is not named."""
OF_A_CASE = frozenset(event for event in Event if event.value.startswith("case_"))
"""Events that name a case, by its pseudonym."""
PSEUDONYM = like(r"[0-9a-f]{12}")
