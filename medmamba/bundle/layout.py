"""What a bundle may hold: the names of its files, their sizes, and JSON that is read without trust."""

import json
import math
import re
from typing import Any

from ..errors import BundleError

MANIFEST, SIGNATURE = "MANIFEST.json", "MANIFEST.sig"
CARD, PLANS, DATASET, FINGERPRINT, EXPECTED = (
    *("bundle.json", "plans.json", "dataset.json"),
    *("dataset_fingerprint.json", "expected.json"),
)
PREVIOUS = "previous/"
"""In a cascade: where the earlier stage's files lie."""
SCHEMA = 1
DOCUMENTS = (CARD, PLANS, DATASET, FINGERPRINT, EXPECTED)
_NAME = re.compile(rf"({PREVIOUS})?({'|'.join(map(re.escape, DOCUMENTS))}|fold_([0-9]{{1,3}}|all)\.safetensors)")
MOST_FILES = 256
MANIFEST_BYTES = 1 << 20
DOCUMENT_BYTES = 16 << 20
WEIGHT_BYTES = (8 << 30) - 1  # what a plain .tar can say of a file
SIGNATURE_BYTES = 64
DEPTH = 32
"""Most levels of lists and objects in a JSON file."""
_TOKEN = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_DIGITS = 20
"""Most digits of a whole number: more than any size has, few enough to be read at once."""


def weight_name(fold: str, prefix: str = "") -> str:
    """fold_0.safetensors."""
    return f"{prefix}fold_{fold}.safetensors"


def fold_of(name: str) -> str | None:
    """The fold whose weights a file holds; None for the other files."""
    found = _NAME.fullmatch(name)
    return found[3] if found else None


def check_name(name: str) -> None:
    """Raise BundleError for a name that leads out of the bundle, or that no file of a bundle has."""
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise refused(f"names the absolute path {name!r}")
    if ".." in re.split(r"[/\\]", name):
        raise refused(f"names {name!r}, which leads out of the bundle")
    if not _NAME.fullmatch(name):
        raise refused(f"has a file {name!r} that no bundle has", "Remove what was added to it, or get it again.")


def most_bytes(name: str) -> int:
    """The size that a file of that name may have."""
    return {MANIFEST: MANIFEST_BYTES, SIGNATURE: SIGNATURE_BYTES}.get(name) or (
        WEIGHT_BYTES if fold_of(name) else DOCUMENT_BYTES
    )


def refused(why: str, remedy: str = "Get the bundle again from where it was made.") -> BundleError:
    """The error for a bundle that is not used: `why` goes on after "The bundle"."""
    return BundleError(f"The bundle {why}.", remedy)


def parse(raw: bytes, name: str) -> dict[str, Any]:
    """The JSON object in `raw`, strictly: no repeated key, no NaN, no infinity, no deep nesting. Else BundleError."""
    _check_depth(raw, name)
    try:
        content = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short,
        )
    except (ValueError, RecursionError) as error:
        raise refused(f"has a {name} that is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise refused(f"has a {name} that holds no JSON object")
    return content


def _check_depth(raw: bytes, name: str) -> None:
    """Before a parser, which calls itself for each level, sees it."""
    depth, in_string = 0, False
    for token in _TOKEN.finditer(raw):
        if token[0] == b'"':
            in_string = not in_string
        elif len(token[0]) == 1 and not in_string:
            depth += 1 if token[0] in b"[{" else -1
            if depth > DEPTH:
                raise refused(f"has lists within lists in {name}, more than {DEPTH} levels deep")


def serialise(content: Any) -> bytes:
    """JSON that is the same for the same content; NaN and infinities, which JSON does not know, become null."""
    return (json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is there twice")
    return content


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _short(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value
