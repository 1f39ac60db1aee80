"""What libraries look for in the environment, given before the first of them is imported.

In a container the process may be a user without name, without home and without any folder to write to but the one for
temporary files. torch, Triton and matplotlib ask for a home or a user's name when they are imported.
"""

import os
import stat
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from ..runtime import share_cores, take_large_pages

CACHES = {
    "HOME": "home",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "MPLCONFIGDIR": "mpl",
    "XDG_CACHE_HOME": "cache",
    "NUMBA_CACHE_DIR": "numba",
}
"""Variable -> its folder among the temporary files."""
_NAMES = ("USER", "LOGNAME")
_NOBODY = "medmamba"


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Give every cache a place where one can be written, and the user a name where the system knows none.

    What is set and can be written to stays; folders that are named and not there yet are made.
    """
    sys.dont_write_bytecode = True  # the container's own folders are read-only
    share_cores()
    take_large_pages()
    if not _knows_user():
        for name in _NAMES:
            environ.setdefault(name, _NOBODY)
    homeless = not _usable(environ.get("HOME"))
    spoilt = [
        name
        for name in CACHES
        if (homeless if name == "HOME" or name not in environ else not _usable(environ.get(name)))
    ]
    if spoilt:
        base = _own_folder()
        for name in spoilt:
            folder = base / CACHES[name]
            folder.mkdir(exist_ok=True)
            environ[name] = str(folder)


def _knows_user() -> bool:
    try:
        import pwd
    except ImportError:  # Windows has no such list
        return True
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


def _usable(folder: str | None) -> bool:
    """Whether files can be made in a folder, which is made where it is missing."""
    if not folder:
        return False
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _own_folder() -> Path:
    """A folder among the temporary files that belongs to this user alone."""
    base = Path(tempfile.gettempdir())
    folder = base / f"medmamba-{os.getuid() if hasattr(os, 'getuid') else 0}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="medmamba-", dir=base))
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if stat.S_ISDIR(status.st_mode) and mine and not stat.S_IMODE(status.st_mode) & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="medmamba-", dir=base))
