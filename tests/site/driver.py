"""The container in a process of its own, as a platform starts it, watched at every door that Python has."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

import medmamba
from tests.predict.made_images import save, save_series
from tests.site.made import Ran, image

CANARY = "ZZPHIZZ"
NOBODY = 12345
_GUARDED = """
import json, os, sys
_, allowed, calls = sys.argv
allowed = (*allowed.split(":"), "/dev/null")
wrong = []
NET = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")
PROCESSES = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.system")
def inside(path, folder=-1):
    if not isinstance(path, (str, bytes, os.PathLike)):
        return True  # a descriptor that was opened before
    base = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else ""
    return os.path.abspath(os.path.join(base, os.fsdecode(path))).startswith(allowed)
def guard(event, arguments):
    if event in NET or event in PROCESSES or event == "pickle.find_class":
        wrong.append(event)
        raise RuntimeError(event)
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not inside(arguments[0]):
        wrong.append(f"open {arguments[0]}")
    if event in CHANGES:
        places = {"os.rename": slice(0, 2), "os.link": slice(0, 2), "os.symlink": slice(1, 2)}.get(event, slice(0, 1))
        folder = arguments[-1] if isinstance(arguments[-1], int) and event != "os.truncate" else -1
        if not all(inside(path, folder) for path in arguments[places]):
            wrong.append(f"{event} {arguments}")
sys.addaudithook(guard)
from medmamba.site import main
code = max(main(words) for words in json.loads(calls))
print("\\n".join(wrong), file=sys.stderr)
sys.exit(99 if wrong else code)
"""


@contextmanager
def open_root() -> Iterator[Path]:
    """A container's root that every user may enter, unlike pytest's own folders; two folders in it take files."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        for name in ("output", "tmp"):
            (place / name).mkdir()
            (place / name).chmod(0o777)
        yield place


@cache
def as_nobody() -> tuple[str, ...]:
    """What comes before a command to make it a user's without name and rights; nothing where nobody can do that.

    Such a user may still read everything: the interpreter may lie in root's home, as no container's does.
    """
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        return ()
    user = (setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")
    reads = "-all,+dac_read_search"
    rights = ("--bounding-set=-all", f"--inh-caps={reads}", f"--ambient-caps={reads}", f"--bounding-set={reads}")
    for words in ((*user, rights[0]), (*user, *rights[1:])):
        done = subprocess.run([*words, sys.executable, "-c", "import encodings"], check=False, capture_output=True)
        if done.returncode == 0:
            return words
    return ()


def start(
    root: Path,
    *words: str,
    guarded: bool = True,
    calls: Sequence[Sequence[str]] = (),
    writable: Sequence[Path] = (),
    limit: tuple[int, int] | None = None,
    **more: str,
) -> Ran:
    """The container in a process of its own; its exit code is 99 where it did what it may not.

    calls: several, one after the other, in place of `words`. writable: besides output and tmp. limit: a resource of
    the process and how much of it there is. more: of the environment.
    """
    package = Path(medmamba.__file__).parent
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/dev/null/no-home",
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(root / "tmp"),
        "MEDMAMBA_SITE_ROOT": str(root),
        "OMP_NUM_THREADS": "1",
        **more,
    }
    command = ["-m", "medmamba.site", *words]
    if guarded:
        places = ":".join(map(str, (root / "output", root / "tmp", *writable)))
        command = ["-c", _GUARDED, places, json.dumps(list(calls) or [words])]
    done = subprocess.run(
        [*as_nobody(), sys.executable, *command],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
        preexec_fn=None if limit is None else lambda: resource.setrlimit(limit[0], (limit[1], limit[1])),
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def give_images(given: Path) -> None:
    """Good and bad images with the canary wherever a name or a text has a place."""
    given.mkdir()
    marks = {"descrip": CANARY.encode(), "aux_file": CANARY.encode(), "db_name": CANARY.encode()}
    volume = np.random.default_rng(0).integers(-1000, 1000, (14, 12, 10)).astype(np.int16)
    save(given / f"{CANARY}1_0000.nii.gz", volume, **marks)
    cut = image(given / f"{CANARY}2_0000.nii.gz")
    cut.write_bytes(cut.read_bytes()[:3000])
    nan = np.full((14, 12, 10), np.nan, np.float32)
    save(given / f"{CANARY}3_0000.nii.gz", nan, **marks)
    (given / f"{CANARY}4_0000.nii.gz").write_bytes(b"no image " + CANARY.encode())
    (given / f"{CANARY}5_0000.mha").write_bytes(b"ObjectType = " + CANARY.encode())
    texts = ("0010|0010", "0010|0020", "0008|0080", "0008|103e", "0020|4000")

    def mark(number: int, part: object) -> None:
        for tag in texts:
            part.SetMetaData(tag, CANARY)  # type: ignore[attr-defined]

    save_series(given / f"{CANARY}6", volume, change=mark, names=lambda number: f"{CANARY}{number}.dcm")
    save_series(given / f"{CANARY}7", volume, uid="9.9", names=lambda number: f"{CANARY}{number}.dcm")
    next((given / f"{CANARY}7").glob("*5.dcm")).unlink()


def tells(path: Path) -> bool:
    """Whether a file holds the canary, packed or not."""
    import gzip

    content = path.read_bytes()
    return CANARY.encode() in content or (
        path.suffix == ".gz" and CANARY.encode() in content[:100] + gzip.decompress(content)
    )
