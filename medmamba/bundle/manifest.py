"""MANIFEST.json: size and SHA-256 of every file of a bundle. Its own SHA-256 stands for the whole."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .layout import MANIFEST, check_name, most_bytes, parse, refused, serialise

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The files of a bundle and when its model was made (UTC)."""

    files: Mapping[str, Entry]
    created: str

    def serialise(self) -> bytes:
        """MANIFEST.json, files in alphabetical order."""
        files = {name: {"sha256": one.sha256, "bytes": one.bytes} for name, one in sorted(self.files.items())}
        return serialise({"files": files, "created": self.created})


def digest(raw: bytes) -> str:
    """sha256:..., by which a bundle is known."""
    return f"sha256:{sha256(raw)}"


def read_manifest(raw: bytes) -> Manifest:
    """The manifest in `raw`. BundleError for one that says less, more or something else than a manifest does."""
    content = parse(raw, MANIFEST)
    files, created = content.get("files"), content.get("created")
    if set(content) != {"files", "created"} or not isinstance(files, dict):
        raise refused(f"has a {MANIFEST} with other entries than files and created")
    if not isinstance(created, str) or not _CREATED.fullmatch(created):
        raise refused(f"has a {MANIFEST} without a date of the form 2026-01-31T12:00:00Z")
    folded: dict[str, str] = {}
    for name in files:
        if name == MANIFEST:
            raise refused(f"has a {MANIFEST} that lists itself")
        twin = folded.setdefault(name.casefold(), name)
        if twin != name:
            raise refused(f"has files that differ in capitals only: {name!r} and {twin!r}")
        check_name(name)
    return Manifest({name: _entry(name, one) for name, one in files.items()}, created)


def _entry(name: str, content: Any) -> Entry:
    if not isinstance(content, dict) or set(content) != {"sha256", "bytes"}:
        raise refused(f"has a {MANIFEST} that gives other values for {name} than sha256 and bytes")
    size, checksum = content["bytes"], content["sha256"]
    if type(size) is not int or not 0 <= size <= most_bytes(name):
        raise refused(f"has a {MANIFEST} that gives {name} an impossible size, {size!r} bytes")
    if not isinstance(checksum, str) or not _DIGEST.fullmatch(checksum):
        raise refused(f"has a {MANIFEST} that gives {name} something else than a SHA-256")
    return Entry(checksum, size)
