"""A bundle on the disk: a folder or an uncompressed .tar, whole or not at all, the same bytes for the same content."""

import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import ConfigError, SetupError
from .layout import MANIFEST, SIGNATURE
from .manifest import Entry, Manifest, digest, sha256
from .signing import Sign

Files = Iterable[tuple[str, bytes]]
"""Names and contents; a generator, for weights are large and one fold at a time is enough."""


def write(
    target: Path, files: Files, created: str, sign: Sign | None = None, check: Callable[[Path], object] | None = None
) -> str:
    """Write a bundle and return its digest, sha256:...

    Parameters
    ----------
    target: a folder, or a file whose name ends in .tar. It must not be there yet.
    created: UTC, 2026-01-31T12:00:00Z.
    sign: from the bytes of MANIFEST.json to those of MANIFEST.sig.
    check: called with the finished bundle before it takes its place; what it raises leaves nothing behind.

    Raises ConfigError when the target is there, SetupError when it cannot be written.
    """
    require_free(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent) as folder:
            made = Path(folder) / target.name
            found = (_write_tar if target.suffix == ".tar" else _write_folder)(made, files, created, sign)
            if check is not None:
                check(made)
            made.rename(target)
    except OSError as error:
        raise SetupError(
            f"{target} cannot be written: {error.strerror or error}.", "Choose another place, or make room there."
        ) from error
    return found


_OTHER_FILES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".pth", ".pt", ".safetensors")
"""Endings, other than .tar in small letters, by which people mean a file that no bundle is."""


def require_free(target: Path) -> None:
    """ConfigError when there is something at the place of a new bundle, or when its name is that of another format."""
    if target.suffix != ".tar" and target.suffix.lower() in _OTHER_FILES:
        raise ConfigError(
            f"A bundle is a folder or a .tar without compression; {target.name} is neither.",
            f"Give --out {target.with_name(target.name.split('.')[0])}.tar.",
        )
    if os.path.lexists(target):
        raise ConfigError(f"{target} is there already.", "Remove it, or give --out another name.")


def _write_folder(folder: Path, files: Files, created: str, sign: Sign | None) -> str:
    folder.mkdir()

    def put(name: str, content: bytes) -> None:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    return _write(put, files, created, sign)


def _write_tar(file: Path, files: Files, created: str, sign: Sign | None) -> str:
    with file.open("wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:

            def put(name: str, content: bytes) -> None:
                header = tarfile.TarInfo(name)  # owner, date and mode are always the same
                header.size = len(content)
                archive.addfile(header, io.BytesIO(content))

            found = _write(put, files, created, sign)
        stream.flush()
        os.fsync(stream.fileno())
    return found


def _write(put: Callable[[str, bytes], None], files: Files, created: str, sign: Sign | None) -> str:
    entries: dict[str, Entry] = {}
    for name, content in files:
        put(name, content)
        entries[name] = Entry(sha256(content), len(content))
    manifest = Manifest(entries, created).serialise()
    put(MANIFEST, manifest)
    if sign is not None:
        put(SIGNATURE, sign(manifest))
    return digest(manifest)
