"""The contract as JSON: what is read, written and told, for those who have to approve it."""

from typing import Any

from .._version import __version__
from .aggregates import FORMAT, LESIONS, MEASURES
from .arguments import HELP, LEAST, PREFIX
from .bundles import PLACES
from .environment import CACHES
from .events import FIELDS, LEVELS, PARAMETERS, VERBS
from .exits import MEANING
from .faults import FAULTS
from .modes import MODES
from .parameters import PLACES as PARAMETERS_FILES


def contract() -> dict[str, Any]:
    """Everything that is fixed; nothing of this machine."""
    return {
        "program": "medmamba site",
        "version": __version__,
        "verbs": {verb: HELP[verb] for verb in VERBS},
        "modes": {mode.name: mode.as_json() for mode in MODES},
        "bundle": list(PLACES),
        "exit_codes": {int(code): text for code, text in MEANING.items()},
        "parameters": {"files": list(PARAMETERS_FILES), "keys": list(PARAMETERS)},
        "report": {
            "format": FORMAT,
            "measures": list(MEASURES),
            "lesion_measures": list(LESIONS),
            "figures": ["n", "mean", "sd", "median", "low", "high"],
            "of_single_cases": "nothing",
            "min_cases": {"default": 5, "least": LEAST},
        },
        "dicom_segmentations": "carry the patient's and the study's attributes of their images, as the standard asks",
        "environment": {"options": f"{PREFIX}NAME", "caches": list(CACHES)},
        "events": {
            event.value: {"level": LEVELS.get(event, "info"), "fields": sorted(fields)}
            for event, fields in FIELDS.items()
        },
        "faults": {name: {"sentence": one.sentence, "remedy": one.remedy} for name, one in FAULTS.items()},
        "network": "none",
        "writes": ["the output folder", "the folder for temporary files"],
    }
