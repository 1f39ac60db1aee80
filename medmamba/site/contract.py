"""The contract as JSON: what is read, written and told, for those who have to approve it."""

from typing import Any

from .._version import __version__
from .arguments import PREFIX
from .bundles import PLACES
from .environment import CACHES
from .events import FIELDS, VERBS
from .exits import MEANING
from .faults import FAULTS
from .modes import MODES


def contract() -> dict[str, Any]:
    """Everything that is fixed; nothing of this machine."""
    return {
        "program": "medmamba site",
        "version": __version__,
        "verbs": list(VERBS),
        "modes": {mode.name: mode.as_json() for mode in MODES},
        "bundle": list(PLACES),
        "exit_codes": {int(code): text for code, text in MEANING.items()},
        "environment": {"options": f"{PREFIX}NAME", "caches": list(CACHES)},
        "events": {event.value: sorted(fields) for event, fields in FIELDS.items()},
        "faults": {name: {"sentence": one.sentence, "remedy": one.remedy} for name, one in FAULTS.items()},
        "network": "none",
        "writes": ["the output folder", "the folder for temporary files"],
    }
