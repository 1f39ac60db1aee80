"""Whether a file is there, can be read to its end, and is what its name says; before anything looks at voxels."""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

_GZIP = b"\x1f\x8b"
_SIGNS = (  # kind, where it stands, what it begins with, what it is
    ("dicom", 128, b"DICM", "a DICOM file"),
    ("pointer", 0, b"version https://git-lfs", "a Git LFS pointer"),
    ("pointer", 0, b"/annex/objects/", "a git-annex pointer"),
    ("not-an-image", 0, b"PK\x03\x04", "a zip archive"),
    ("not-an-image", 0, b"\x89HDF\r\n", "an HDF5 file"),
    ("not-an-image", 0, b"\x93NUMPY", "a NumPy file"),
    ("not-an-image", 0, b"BZh", "a bzip2 file"),
    ("not-an-image", 0, b"\xff\xd8\xff", "a JPEG image"),
)
_IMAGE_SIGNS = (  # what it begins with, the endings it may have
    (b"\x89PNG", (".png",)),
    (b"BM", (".bmp",)),
    (b"NRRD", (".nrrd", ".nhdr")),
    (b"II*\0", (".tif", ".tiff")),
)
_WEB = (b"<!doctype", b"<html", b"<?xml", b"<head", b'{"')
HEAD = 1024


class UnusableError(Exception):
    """A file that nothing more can be said about. `kind` is a key of findings.KINDS."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind, self.text = kind, text
        super().__init__(text)


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """The content of a file, decompressed when its name ends in .gz; what cannot be read raises UnusableError."""
    _there(path)
    try:
        with open(path, "rb") as raw:
            head = raw.read(HEAD)
            compressed = path.suffix == ".gz"
            if not compressed or not head.startswith(_GZIP):
                _recognise(head, path)
            if compressed and not head.startswith(_GZIP):
                raise UnusableError("not-gzip", f"Begins with {head[:4].hex(' ')}, gzip with 1f 8b.")
            raw.seek(0)
            if not compressed:
                yield raw
                return
            with gzip.open(raw) as stream:
                yield cast(BinaryIO, stream)
    except PermissionError as error:
        raise UnusableError("permission", f"{error.strerror}; owner {path.stat().st_uid}.") from error
    except EOFError as error:
        raise UnusableError("truncated", "The gzip stream ends before its end mark.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnusableError("damaged", f"The gzip stream is not sound: {error}.") from error
    except OSError as error:
        raise UnusableError("unreadable", f"{error.strerror or error}.") from error


def recognised(head: bytes, path: Path) -> bytes:
    """`head` again, the first decompressed bytes of a file; UnusableError when it is something else than an image."""
    _recognise(head, path)
    return head


def _there(path: Path) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise UnusableError("broken-link", f"Points to {os.readlink(path)}, which is not there.") from error
        raise UnusableError("missing-file", "Is not there.") from error
    except PermissionError as error:
        raise UnusableError("permission", f"{error.strerror} on the way to the file.") from error
    except OSError as error:  # a loop of links, a name too long, a dead network disk
        raise UnusableError("unreadable", f"{error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("not-a-file", "Is a folder." if stat.S_ISDIR(status.st_mode) else "Is no regular file.")
    if status.st_size == 0:
        raise UnusableError("empty-file", "Has 0 bytes.")


def _recognise(head: bytes, path: Path) -> None:
    for kind, where, sign, what in _SIGNS:
        if head[where:].startswith(sign):
            raise UnusableError(kind, f"Is {what}.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_WEB):
        first = head.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n")[0][:60].decode("latin-1")
        raise UnusableError("web-page", f"Begins with {first!r}.")
    if head.startswith(_GZIP):
        raise UnusableError("not-an-image", "Is gzip inside, which its name does not say.")
    for sign, endings in _IMAGE_SIGNS:
        if head.startswith(sign) and not path.name.lower().endswith(endings):
            raise UnusableError("not-an-image", f"Is a {endings[0]} image.")
