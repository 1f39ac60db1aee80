"""The container as a platform starts it: a user without name or home, two folders to write to, no network."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import medmamba
from tests.predict.made_images import save, save_series
from tests.site.made import Ran, files, image, subjects

CANARY = "ZZPHIZZ"
NOBODY = 12345
_GUARDED = """
import os, sys
allowed = (*sys.argv.pop(1).split(":"), "/dev/null")
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
        two = event in ("os.rename", "os.link")
        folder = arguments[-1] if isinstance(arguments[-1], int) and event != "os.truncate" else -1
        if not all(inside(path, folder) for path in arguments[: 1 + two]):
            wrong.append(f"{event} {arguments}")
sys.addaudithook(guard)
from medmamba.site import main
code = main(sys.argv[1:])
print("\\n".join(wrong), file=sys.stderr)
sys.exit(99 if wrong else code)
"""


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A container's root that every user may enter, unlike pytest's own folders."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        for name in ("output", "tmp"):
            (place / name).mkdir()
            (place / name).chmod(0o777)
        yield place


def is_open_to_all(path: Path) -> bool:
    """Whether any user may go into a folder."""
    return all(one.stat().st_mode & 0o001 for one in (path, *path.parents))


def start(root: Path, *words: str, guarded: bool = True, **more: str) -> Ran:
    """The container in a process of its own."""
    package = Path(medmamba.__file__).parent
    unprivileged = os.geteuid() == 0 and all(map(is_open_to_all, (package, Path(sys.executable).resolve(), root)))
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
    command = ["-c", _GUARDED, f"{root / 'output'}:{root / 'tmp'}"] if guarded else ["-m", "medmamba.site"]
    done = subprocess.run(
        [sys.executable, *command, *words],
        cwd="/",
        env=environment,
        user=NOBODY if unprivileged else None,
        group=NOBODY if unprivileged else None,
        extra_groups=[] if unprivileged else None,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def give_inputs(given: Path) -> None:
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


def test_a_hospital_run_tells_nothing(root: Path, one_channel: Path) -> None:
    shutil.copytree(one_channel, root / "model")
    for path in (root / "model", *(root / "model").iterdir()):
        path.chmod(0o755)
    give_inputs(root / "input")
    ran = start(root, "--private-list", "--device=cpu", "--fast", "--precision=fp32")
    assert ran.code == 6, ran.err
    assert [event["event"] for event in ran.events][-1] == "finished"
    assert sorted(ran.faults) == sorted(["truncated", "not-finite", "not-gzip", "not-an-image", "dicom-missing-slices"])
    out = root / "output"
    made = [f"predictions/{CANARY}{number}.nii.gz" for number in (1, 6)]
    assert files(out) == ["log.jsonl", *made, "private/cases.csv", "run.json"]
    assert [name for name in files(out) if tells(out / name)] == ["private/cases.csv"]
    assert CANARY not in ran.out + ran.err and not ran.err.strip()
    record = json.loads((out / "run.json").read_text())
    told = (out / "run.json").read_text() + (out / "log.jsonl").read_text()
    assert str(root) not in told and os.uname().nodename not in told and "1.2.3.4" not in told
    assert record["argv"] == ["run", "--private-list", "--device", "--fast", "--precision"]
    assert record["counts"] == {"cases": 7, "ok": 2, "failed": 5, "left": 0}
    assert files(root / "tmp") == []


def test_a_challenge_run_of_the_plain_module(root: Path, brats_bundle: Path) -> None:
    shutil.rmtree(root / "output", ignore_errors=True)
    (root / "output").mkdir()
    (root / "output").chmod(0o777)
    shutil.copytree(brats_bundle, root / "weights")
    for path in (root / "weights", *(root / "weights").iterdir()):
        path.chmod(0o755)
    (names,) = [subjects(root / "subjects", 1)]
    given = {"MEDMAMBA_SITE_BUNDLE": root / "weights", "MEDMAMBA_SITE_DATA": root / "subjects"}
    more = {
        "MEDMAMBA_SITE_DEVICE": "cpu",
        "MEDMAMBA_SITE_FAST": "1",
        **{name: str(path) for name, path in given.items()},
    }
    ran = start(root, guarded=False, **more)
    assert ran.code == 0, ran.err
    assert files(root / "output") == [f"{names[0]}.nii.gz"] and names[0] not in ran.out and ran.err == ""
    assert start(root, "--mode", CANARY, guarded=False).code == 2
