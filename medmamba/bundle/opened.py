"""A bundle that is open: what it says and holds is what its manifest says, or it is refused.

The bytes that are hashed are the bytes that are used: no file is read once to check it and again to use it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ConfigError
from .card import Card, read_card
from .container import Container, container
from .layout import CARD, MANIFEST, SIGNATURE, fold_of, parse, refused
from .manifest import digest, read_manifest, sha256
from .weights import parse_weights


class Bundle:
    """See `opened`."""

    def __init__(self, files: Container, expect: str | None) -> None:
        self.path = files.path
        self._container = files
        if MANIFEST not in files.sizes:
            raise refused(f"has no {MANIFEST}", "Give a folder or .tar that medmamba bundle export wrote.")
        self.manifest_bytes = files.read(MANIFEST)
        self.digest = digest(self.manifest_bytes)
        if expect is not None and self.digest != as_digest(expect):
            raise refused(
                f"is not the expected one: its digest is {self.digest}, and {expect} was asked for",
                "Ask its maker which of the two it should be.",
            )
        self.manifest = read_manifest(self.manifest_bytes)
        self._check_listing()
        self._documents = {name: self._read(name) for name in self.manifest.files if fold_of(name) is None}
        self.signature = files.read(SIGNATURE) if SIGNATURE in files.sizes else None

    def _check_listing(self) -> None:
        sizes, files = self._container.sizes, self.manifest.files
        if extra := sorted(set(sizes) - set(files) - {MANIFEST, SIGNATURE}):
            raise refused(f"holds {extra[0]}, which its manifest does not list")
        for name, entry in files.items():
            if name not in sizes:
                raise refused(f"lacks {name}, which its manifest lists", "It was copied in part: copy it again.")
            if sizes[name] != entry.bytes:
                raise refused(f"has a {name} of {sizes[name]} bytes, and its manifest says {entry.bytes}")

    def _read(self, name: str) -> bytes:
        content = self._container.read(name)
        self._check(name, sha256(content))
        return content

    def _check(self, name: str, checksum: str) -> None:
        if checksum != self.manifest.files[name].sha256:
            raise refused(f"was altered: {name} does not have the SHA-256 of the manifest")

    def __contains__(self, name: str) -> bool:
        return name in self.manifest.files

    def document(self, name: str) -> dict[str, Any]:
        """A JSON file's object."""
        if name not in self:
            raise refused(f"lacks {name}")
        return parse(self._documents[name], name)

    def card(self, prefix: str = "") -> Card:
        """What bundle.json says, checked."""
        name = prefix + CARD
        card = read_card(self.document(name), name)
        there = {fold_of(one) for one in self.weight_files(prefix)}
        if there != set(card.folds):
            raise refused(f"has the weights of other folds than {name} says ({', '.join(card.folds)})")
        return card

    def weight_files(self, prefix: str = "") -> list[str]:
        """The weights of one stage, as they are listed."""
        return [one for one in self.manifest.files if fold_of(one) and one.rpartition("/")[0] == prefix.rstrip("/")]

    def weights(self, name: str) -> dict[str, Tensor]:
        """The tensors of a weights file, on the CPU."""
        return parse_weights(self._read(name), name)

    def check_weights(self, name: str) -> None:
        """Hash a weights file that is not used."""
        checksum = hashlib.sha256()
        for chunk in self._container.chunks(name):
            checksum.update(chunk)
        self._check(name, checksum.hexdigest())

    def sizes(self) -> Mapping[str, int]:
        """Bytes of every file that the manifest lists."""
        return {name: entry.bytes for name, entry in self.manifest.files.items()}


def as_digest(expect: str) -> str:
    """A digest as people give it: with or without sha256:, in capitals or not. ConfigError for anything else."""
    given = expect.strip().lower().removeprefix("sha256:")
    if len(given) != 64 or set(given) - set("0123456789abcdef"):
        raise ConfigError(f"{expect!r} is no SHA-256 digest.", "Give sha256: and 64 hexadecimal digits.")
    return f"sha256:{given}"


@contextmanager
def opened(path: Path, expect: str | None = None) -> Iterator[Bundle]:
    """A bundle, its listing and every JSON file in it checked against the manifest; weights are when they are read.

    Raises BundleError for a bundle that is damaged, altered or hostile.
    """
    with container(path) as files:
        yield Bundle(files, expect)
