"""One run after the other, inside the container and outside of it."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from . import comparing
from .engine import Engine
from .image import ROOT
from .inputs import Source
from .models import Model
from .runs import USER, Run

SCRIPT = ROOT / "docker" / "run.sh"
_LIMIT = 900
"""Seconds for one run."""


@dataclass
class Outcome:
    """What became of a run."""

    name: str
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Wall time with the start of the container."""
    first_line: float | None = None
    """Seconds from the call to the first line of the log."""
    cases: int = 0
    equal: int = 0
    """Label maps and images that are the same inside and outside."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {**asdict(self), "good": self.good}


@dataclass(frozen=True)
class Said:
    """A process that ended."""

    code: int
    out: str
    err: str
    seconds: float
    first_line: float | None


@dataclass(frozen=True)
class Driver:
    """Runs an image with docker/run.sh."""

    engine: Engine
    image: str
    baked: str | None
    """The image with a model inside."""
    models: dict[int, Model]
    """By number of channels."""
    source: Source
    work: Path

    def do(self, run: Run) -> Outcome:
        """Run it inside and outside, and compare."""
        outcome, root = Outcome(run.name), self.work / run.name.replace(" ", "_").replace(",", "") / "root"
        outcome.cases = run.fill(root, self.source)
        model = root / run.places[2]
        self._mount_model(run, model)
        for place in [path.removesuffix(":rw") for path in run.also]:
            (root / place).mkdir(parents=True, exist_ok=True)
        inside = root.with_name("inside") / run.places[1]
        self._own(run, inside)
        said = self._inside(run, root, inside)
        outcome.seconds, outcome.first_line = said.seconds, said.first_line
        if said.code != run.code:
            outcome.faults.append(f"exit code {said.code}, expected {run.code}: {said.err.strip()[-400:]}")
        elif run.code == 0:
            self._compare(run, root, inside.parents[run.places[1].count("/")], said, outcome)
        elif files := [name for name in comparing.files(inside) if name.endswith((".nii.gz", ".mha", ".dcm"))]:
            outcome.faults.append(f"{len(files)} label maps in spite of exit code {run.code}")
        return outcome

    def _mount_model(self, run: Run, model: Path) -> None:
        model.mkdir(parents=True, exist_ok=True)
        chosen = self.models[run.channels or 1]
        shutil.copytree(chosen.place, model, dirs_exist_ok=True, copy_function=shutil.copyfile)
        if run.spoil is not None:
            run.spoil(model)

    def _own(self, run: Run, folder: Path) -> None:
        """A folder for outputs that belongs to the container's user, or to somebody else."""
        folder.mkdir(parents=True)
        user, group = map(int, (run.user if run.writable else "1:1").split(":"))
        if os.getuid() == 0:
            os.chown(folder, user, group)
        elif not run.writable:
            folder.chmod(0o500)

    def _inside(self, run: Run, root: Path, outputs: Path) -> Said:
        volumes = []
        for place in run.also:
            path, _, mode = place.partition(":")
            folder = root / path
            if mode == "rw":
                folder = outputs.with_name(Path(path).name)
                self._own(run, folder)
            volumes.append(f"--volume {folder}:/{path}:{mode or 'ro'}")
        given = [root / run.places[0], outputs, *([] if run.channels is None else [root / run.places[2]])]
        image = self.image if run.channels is not None else str(self.baked)
        return self.start(run.user, image, given, run.words, "/" + ":/".join(run.places), " ".join(volumes))

    def start(
        self, user: str, image: str, folders: list[Path], words: tuple[str, ...], layout: str = "native", more: str = ""
    ) -> Said:
        """Call docker/run.sh. A process that is not root has no other user's folders to give."""
        variables = {**os.environ, **self.engine.variables}
        variables["MEDMAMBA_ENGINE_ARGS"] += f" {more}"
        as_whom = ["--user", user] if os.getuid() == 0 else []
        call = [str(SCRIPT), "--image", image, "--memory", "4g", "--layout", layout, *as_whom]
        return _watched([*call, *map(str, folders), "--", *words], variables)

    def _compare(self, run: Run, root: Path, inside: Path, said: Said, outcome: Outcome) -> None:
        """The same outside: paths in arguments lead below the root."""
        outside = root / run.places[1]
        shutil.rmtree(outside, ignore_errors=True)
        outside.mkdir(parents=True)
        words = [word.replace("=/", f"={root}/") for word in run.words]
        there = _watched(
            [sys.executable, "-m", "medmamba.site", *words, "--root", str(root)],
            {**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if there.code != 0:
            outcome.faults.append(f"outside the container the exit code is {there.code}")
            return
        if run.name == "describe":
            outcome.faults += [] if json.loads(said.out) == json.loads(there.out) else ["another contract"]
            return
        if run.closed:
            pairs = [(inside / run.places[1], outside)]
            outcome.equal = len(comparing.files(pairs[0][0]))
            outcome.faults += [] if outcome.equal == len(comparing.files(outside)) else ["another number of files"]
            return
        outcome.equal, wrong = comparing.faults(inside / run.places[1], outside, said.out + said.err)
        outcome.faults += wrong

    def said(self, words: tuple[str, ...]) -> str:
        """What the image answers to a question that needs no inputs."""
        folders = [self.work / "asked" / name for name in ("in", "out")]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        return self.start(USER, self.image, folders, words).out

    def probe(self, model: Model) -> tuple[dict[str, Any], list[str]]:
        """(what the container can do, what of it it should not)."""
        folder = self.work / "probe"
        (folder / "in").mkdir(parents=True)
        self._own(Run("probe", ()), folder / "out")
        program = (ROOT / "tools" / "container" / "probe.py").read_text(encoding="utf-8")
        given = [folder / "in", folder / "out", model.place]
        said = self.start(USER, self.image, given, ("-c", program), more="--entrypoint python")
        if said.code:
            return {}, [f"the probe ended with {said.code}: {said.err.strip()[-400:]}"]
        found = json.loads(said.out)
        expected = {
            "user": USER if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}",
            "rights": ["0" * 16] * 3,
            "no_new_privileges": "1",
            "seccomp": "2",
            "writable": ["/output", "/tmp"],
            "runs_from_tmp": True,
            "connects": False,
            "compilers": [],
            "imports_failed": [],
            "library": True,
        }
        wrong = [f"{name} is {found[name]}" for name, value in expected.items() if found[name] != value]
        wrong += [] if set(found["interfaces"]) <= {"lo"} else [f"interfaces {found['interfaces']}"]
        return found, wrong + ([] if found["shm_mib"] <= 64 else [f"/dev/shm of {found['shm_mib']} MiB"])


def _watched(command: list[str], variables: dict[str, str]) -> Said:
    """Run a process and note when its first line comes."""
    started = time.monotonic()
    first: list[float] = []
    out: list[str] = []
    err: list[str] = []
    with subprocess.Popen(
        command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        reader = Thread(target=lambda: err.extend(process.stderr or ()), daemon=True)
        watchdog = Thread(target=_end_after, args=(process, _LIMIT), daemon=True)
        reader.start()
        watchdog.start()
        for line in process.stdout:
            first.append(time.monotonic() - started)
            out.append(line)
        reader.join()
        code = process.wait()
    seconds = time.monotonic() - started
    return Said(code, "".join(out), "".join(err), round(seconds, 2), round(first[0], 2) if first else None)


def _end_after(process: "subprocess.Popen[str]", seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
