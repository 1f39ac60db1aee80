"""Cases under other names: what stands for a case in logs and records, and the private list that leads back."""

import csv
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import ConfigError
from ..files import replacing

_LENGTH, _LEAST, _MOST = 12, 16, 4096
_CHUNK = 1 << 20


class Pseudonyms:
    """Keyed names of cases.

    Parameters
    ----------
    key: a secret of the site, with which a case has the same name in every run; None: one for this run alone, which
        nobody keeps.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self.lasting = key is not None
        self._key = key or secrets.token_bytes(32)

    @classmethod
    def of(cls, file: Path | None) -> "Pseudonyms":
        """With the key in a file. ConfigError for one that cannot be read, or of fewer than 16 bytes."""
        if file is None:
            return cls()
        try:
            with file.open("rb") as stream:
                key = stream.read(_MOST).strip()
        except OSError as error:
            raise ConfigError("The file of the site key cannot be read.", "Check --site-key.") from error
        if len(key) < _LEAST:
            raise ConfigError(f"The site key has {len(key)} bytes.", "openssl rand -hex 32 makes a good one.")
        return cls(key)

    def of_case(self, name: str) -> str:
        """Twelve hexadecimal digits."""
        return hmac.new(self._key, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:_LENGTH]

    def of_files(self, files: Iterable[Path]) -> str:
        """A keyed digest of what files hold, whatever they are called; a folder stands for the files in it."""
        digests = sorted(_digest(one) for file in files for one in _whole(file))
        return "hmac-sha256:" + hmac.new(self._key, b"".join(digests), hashlib.sha256).hexdigest()


def _whole(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]


def _digest(file: Path) -> bytes:
    """SHA-256 of a file; of nothing where it cannot be read, which its case will tell."""
    checksum = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                checksum.update(chunk)
    except OSError:
        return hashlib.sha256().digest()
    return checksum.digest()


def write_private_list(file: Path, names: Mapping[str, str]) -> None:
    """Write pseudonym -> name as a table that only its owner can read."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(file) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            table = csv.writer(stream)
            table.writerow(("pseudonym", "case"))
            table.writerows(sorted(names.items()))
