"""The two forms of a bundle, a folder and an uncompressed .tar, listed and read without trust and without unpacking."""

import os
import stat
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import BundleError
from .layout import MANIFEST, MOST_FILES, PREVIOUS, SIGNATURE, check_name, most_bytes, refused

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 8 << 20
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Container(ABC):
    """The files of a bundle by name. `sizes` is known at once; content is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}
        self._folded: dict[str, str] = {}

    def add(self, name: str, size: int) -> None:
        """Note a file, or raise BundleError for a name or a size that no bundle has."""
        twin = self._folded.setdefault(name.casefold(), name)
        if name in self.sizes:
            raise refused(f"has the file {name} twice")
        if twin != name:
            raise refused(f"has files that differ in capitals only: {name!r} and {twin!r}")
        if name not in (MANIFEST, SIGNATURE):
            check_name(name)
        if not 0 <= size <= most_bytes(name):
            raise refused(f"has a {name} of {size} bytes; at most {most_bytes(name)} are read")
        self.sizes[name] = size
        if len(self.sizes) > MOST_FILES:
            raise refused(f"has more than {MOST_FILES} files")

    def read(self, name: str) -> bytes:
        """The content of a file: exactly the bytes that were listed, or BundleError."""
        with self._open(name) as file:
            content = file.read(self.sizes[name])
        return self._whole(name, content, len(content))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a file in pieces, for what is hashed and not used."""
        done = 0
        with self._open(name) as file:
            while chunk := file.read(min(_CHUNK, self.sizes[name] - done)):
                done += len(chunk)
                yield chunk
        self._whole(name, b"", done)

    def _whole(self, name: str, content: bytes, count: int) -> bytes:
        if count != self.sizes[name]:
            raise refused(f"ends in the middle of {name}", "It was cut off: copy it again.")
        return content

    @abstractmethod
    def _open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """The file's content from its beginning."""

    def close(self) -> None:  # noqa: B027  (a folder has nothing to close)
        """Let go of what is open."""


class Folder(Container):
    """A bundle as a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._nodes: dict[tuple[int, int], str] = {}
        if not os.path.lexists(path / MANIFEST):  # a results folder, say: nothing is wrong with it but that
            raise refused(f"has no {MANIFEST}", "Give a folder or .tar that medmamba bundle export wrote.")
        self._list("")

    def _list(self, prefix: str) -> None:
        with os.scandir(self.path / prefix) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                self._entry(prefix, entry)

    def _entry(self, prefix: str, entry: "os.DirEntry[str]") -> None:
        name, status = prefix + entry.name, entry.stat(follow_symlinks=False)
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise refused(f"has a file whose name is not UTF-8: {name!r}") from error
        if stat.S_ISLNK(status.st_mode):
            raise refused(f"holds a symbolic link, {name!r}", "Copy it with its links followed (cp -rL).")
        if stat.S_ISDIR(status.st_mode) and f"{name}/" == PREVIOUS:
            self._list(PREVIOUS)
            return
        if stat.S_ISDIR(status.st_mode):
            raise refused(f"has a folder {name!r} that no bundle has")
        if not stat.S_ISREG(status.st_mode):
            raise refused(f"holds {name!r}, which is a pipe, a socket or a device and no file")
        twin = self._nodes.setdefault((status.st_dev, status.st_ino), name)
        if twin != name:
            raise refused(f"holds a hard link: {name!r} and {twin!r} are one file")
        self.add(name, status.st_size)

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        # What was a file when it was listed may be a pipe or a link now: neither is waited for or followed.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(self.path / name, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.sizes[name]:
                raise refused(f"changed while it was read: {name}", "Nobody may write to it meanwhile.")
            yield file


class Tar(Container):
    """A bundle as an uncompressed .tar. Headers are walked one by one: no extension of the format is followed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._offsets: dict[str, int] = {}
        self._file = path.open("rb")
        try:
            self._list(os.fstat(self._file.fileno()).st_size)
        except BaseException:
            self._file.close()
            raise

    def _list(self, total: int) -> None:
        offset = 0
        while (member := self._member(offset)) is not None:
            offset += _BLOCK
            if not member.isdir():
                self._add_member(member, offset)
                offset += -(-member.size // _BLOCK) * _BLOCK
            elif member.size or not self._harmless_folder(member.name):
                raise refused(f"has a folder {member.name!r} that no bundle has")
            if offset > total:
                raise refused("is cut off: its last file is not whole", "Copy it again.")
        self._file.seek(offset)
        rest = self._file.read(tarfile.RECORDSIZE * 2 + 1)
        if len(rest) < 2 * _BLOCK or len(rest) > 2 * tarfile.RECORDSIZE or rest.strip(b"\0"):
            raise refused("has something behind its end, or no end")

    def _member(self, offset: int) -> tarfile.TarInfo | None:
        """The header at a place; None at the end mark."""
        self._file.seek(offset)
        try:
            return tarfile.TarInfo.frombuf(self._file.read(_BLOCK), "utf-8", "strict")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            return None
        except UnicodeDecodeError as error:
            raise refused("has an entry whose name is not UTF-8") from error
        except tarfile.HeaderError as error:
            why = "is no uncompressed .tar" if offset == 0 else "is cut off or damaged"
            raise refused(f"{why} ({error} at byte {offset})", "Copy it again; do not compress it.") from error

    @staticmethod
    def _harmless_folder(name: str) -> bool:
        return name.rstrip("/") in (".", "previous", "./previous")

    def _add_member(self, member: tarfile.TarInfo, offset: int) -> None:
        if member.type in _KINDS:
            raise refused(f"holds {_KINDS[member.type]}, {member.name!r}")
        if member.type not in _PLAIN:
            raise refused(
                f"is a .tar with an entry of kind {member.type!r} ({member.name!r}), where plain files are expected",
                "Make it with medmamba bundle export, or with tar --format=ustar.",
            )
        name = member.name.removeprefix("./")
        self.add(name, member.size)
        self._offsets[name] = offset

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        self._file.seek(self._offsets[name])
        yield self._file

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


@contextmanager
def container(path: Path) -> Iterator[Container]:
    """The bundle at a path, listed. BundleError when it is none, or holds what no bundle holds."""
    if not path.exists():
        raise BundleError(f"There is no bundle {path}.", "Check the path.")
    try:
        found: Container = Folder(path) if path.is_dir() else _tar(path)
        try:
            yield found
        finally:
            found.close()
    except BundleError as error:
        raise BundleError(error.problem.replace("The bundle ", f"The bundle {path} ", 1), error.remedy) from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.") from error


def _tar(path: Path) -> Tar:
    if not stat.S_ISREG(path.stat().st_mode):
        raise BundleError(f"{path} is neither a folder nor a file.", "Give a bundle's folder or .tar.")
    return Tar(path)
