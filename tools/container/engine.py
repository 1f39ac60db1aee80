"""The program that builds and runs images here: docker, or podman with a storage of its own."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

QUICK = 60
"""Seconds for what an engine answers at once."""
_WAYS: tuple[tuple[str, str], ...] = (
    ("", ""),
    ("--runtime runc", ""),
    ("--runtime runc", "--ulimit nofile=4096:4096 --ulimit nproc=4096:4096"),
)
"""(options of the engine, options of its `run`) that are tried in this order until a container starts.

The second is for hosts with both generations of control groups, where crun does not start; the third for hosts whose
own limits are lower than those that podman asks for.
"""


@dataclass(frozen=True)
class Engine:
    """How images are built and containers started."""

    command: tuple[str, ...]
    """The program with its own options."""
    run_options: tuple[str, ...] = ()
    """What its `run` needs on this machine besides the options of docker/run.sh."""
    build_options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """docker or podman."""
        return Path(self.command[0]).name

    @property
    def variables(self) -> dict[str, str]:
        """What docker/run.sh takes from the environment."""
        return {"MEDMAMBA_ENGINE": " ".join(self.command), "MEDMAMBA_ENGINE_ARGS": " ".join(self.run_options)}

    def ask(self, *words: str, seconds: float | None = QUICK) -> subprocess.CompletedProcess[str]:
        """Run a command of the engine; its output comes back with its exit code."""
        return subprocess.run(
            [*self.command, *words], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
        )

    def has(self, image: str) -> bool:
        """Whether the image lies in the storage."""
        return self.ask("image", "inspect", image).returncode == 0

    def inspect(self, image: str, form: str) -> str:
        """One fact of an image, as a template of the engine's."""
        return self.ask("image", "inspect", "--format", form, image).stdout.strip()

    def build(self, file: Path, context: Path, name: str, arguments: Mapping[str, str], mounts: Sequence[str]) -> None:
        """Build an image from a Dockerfile; what the engine says goes to the standard error. SystemExit when it fails.

        mounts: folders and files of this machine that the build may read; podman only.
        """
        words = [*self.command, "build", *self.build_options, "-f", str(file), "-t", name]
        words += [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        if self.name == "podman":
            words += ["--layers", *(word for path in mounts for word in ("-v", f"{path}:{path}:ro"))]
            ignored = file.with_name(file.name + ".dockerignore")
            words += ["--ignorefile", str(ignored)] if ignored.is_file() else []
        done = subprocess.run([*words, str(context)], stdout=2, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"The image {name} could not be built: {shlex.join(words)}")


def find(wanted: str | None, storage: Path, run_options: str | None, build_options: str | None) -> Engine | str:
    """The engine that is asked for, else the first that answers; a sentence that says why there is none."""
    chosen = [shlex.split(wanted)] if wanted else [["docker"], ["podman"]]
    reasons = []
    for command in chosen:
        program = shutil.which(command[0])
        if program is None:
            reasons.append(f"{command[0]} is not installed")
            continue
        if Path(program).name == "podman" and not wanted:
            command += ["--root", str(storage / "images"), "--runroot", str(storage / "run")]
            command += ["--storage-driver", "overlay"]
        if build_options is None and Path(program).name == "podman":
            build_options = "--isolation chroot"  # works where no runtime does
        engine = Engine((program, *command[1:]), _split(run_options), _split(build_options))
        if engine.ask("info").returncode == 0:
            return engine
        reasons.append(f"{command[0]} does not answer")
    return "; ".join(reasons)


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(shlex.split(text or ""))


def starting(engine: Engine, image: str) -> Engine:
    """The engine with the options with which a container of this image starts here. SystemExit when none does."""
    last = ""
    for own, options in _WAYS if engine.name == "podman" and not engine.run_options else (("", ""),):
        command = (*engine.command, *(_runtime(own)))
        tried = Engine(command, engine.run_options or _split(options), engine.build_options)
        limits = ("--network", "none", "--memory", "1g", "--pids-limit", "64")
        done = tried.ask("run", "--rm", *tried.run_options, *limits, "--entrypoint", "true", image)
        if done.returncode == 0:
            return tried
        last = done.stderr.strip()
    raise SystemExit(f"No container starts with {engine.name}: {last}")


def _runtime(options: str) -> list[str]:
    """Options with the runtime's place; podman does not look for one on the path."""
    return [shutil.which(word, path=os.environ.get("PATH", "") + ":/usr/sbin") or word for word in shlex.split(options)]
