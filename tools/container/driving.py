"""One run after the other, inside the container and outside of it."""

import json
import os
import re
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
from .inputs import PARAMETERS, Source, parameters
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
        outcome, home = Outcome(run.name), self.work / re.sub(r"\W+", "_", run.name)
        root, inside = home / "root", home / "inside"
        outcome.cases = run.fill(root, self.source)
        self._complete(run, root)
        self._outputs(run, inside, run.user if run.writable else "1:1")
        said = self._inside(run, root, inside)
        outcome.seconds, outcome.first_line = said.seconds, said.first_line
        if said.code != run.code:
            outcome.faults.append(f"exit code {said.code}, expected {run.code}: {said.err.strip()[-400:]}")
        elif run.code == 0:
            self._compare(run, root, inside, said, outcome)
        elif found := comparing.label_maps(inside):
            outcome.faults.append(f"{len(found)} label maps in spite of exit code {run.code}")
        if comparing.tells_names(inside, said.out + said.err):
            outcome.faults.append("a case's name is told")
        return outcome

    def _complete(self, run: Run, root: Path) -> None:
        """Lay what the platform mounts besides the inputs."""
        if run.channels:
            place = root / run.places[2]
            shutil.copytree(self.models[run.channels].place, place, copy_function=shutil.copyfile)
            if run.spoil is not None:
                run.spoil(place)
        elif run.channels is None:  # outside the container it cannot be inside the image
            shutil.copytree(self.models[1].place, root / "model", copy_function=shutil.copyfile)
        if PARAMETERS in run.also:
            parameters(root)

    def _outputs(self, run: Run, root: Path, user: str | None) -> None:
        """Empty folders and files for outputs, which belong to a user."""
        for place, kind in run.written.items():
            path = root / place
            if kind == "file":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            else:
                path.mkdir(parents=True, exist_ok=True)
            if user is not None and os.getuid() == 0:
                os.chown(path, *map(int, user.split(":")))
            elif user == "1:1":
                path.chmod(0o500)

    def _inside(self, run: Run, root: Path, inside: Path) -> Said:
        volumes = [f"--volume {root / place}:/{place}:ro" for place in run.also if ":" not in place]
        volumes += [f"--volume {inside / place}:/{place}:rw" for place in [*run.written][1:]]
        given = [root / run.places[0], inside / run.places[1], *([root / run.places[2]] if run.channels else [])]
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
        self._outputs(run, root, None)
        words = [word.replace("=/", f"={root}/") for word in run.words]
        call = [sys.executable, "-m", "medmamba.site", *words, "--root", str(root)]
        there = _watched(call, {**os.environ, "PYTHONPATH": str(ROOT)})
        if there.code != 0:
            outcome.faults.append(f"outside the container the exit code is {there.code}: {there.err.strip()[-400:]}")
        elif run.words == ("describe",):
            outcome.faults += [] if json.loads(said.out) == json.loads(there.out) else ["another contract"]
        else:
            for place, kind in run.written.items():
                one, other = inside / place, root / place
                if kind == "file":
                    one, other = one.parent, other.parent
                equal, wrong = comparing.faults(one, other, run.pseudonyms)
                outcome.equal += equal
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
        self._outputs(Run("probe", (), places=("in", "out", "model")), folder, USER)
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
