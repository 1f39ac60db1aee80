"""The image under test: its base, its build, its copy with a model inside."""

import os
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

from .engine import Engine

ROOT = Path(__file__).parents[2]
LOCAL_BASE = "localhost/medmamba-base:bookworm"
_SUITE, _PACKAGES = "bookworm", "python3,python3-venv,ca-certificates"
PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT")
"""Settings of pip on this machine that the build takes over."""
_EMPTIED = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


def base(engine: Engine, storage: Path, wanted: str | None) -> str | None:
    """The name of the base to build on; None for that of the Dockerfile.

    Where neither the storage nor a registry has that one, Debian is installed into a folder and taken for it: the same
    distribution with the same minor version of Python.
    """
    name = wanted or default_base()
    if engine.has(name) or engine.ask("pull", name, seconds=None).returncode == 0:
        return wanted
    print(f"{name} cannot be pulled here; {LOCAL_BASE} is made from Debian's packages", file=sys.stderr)
    if not engine.has(LOCAL_BASE):
        _install_debian(engine, storage)
    return LOCAL_BASE


def default_base() -> str:
    """The base that the Dockerfile names."""
    lines = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("ARG BASE="))


def _install_debian(engine: Engine, storage: Path) -> None:
    """SystemExit where it cannot be done."""
    tool = shutil.which("debootstrap", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if tool is None:
        raise SystemExit("There is no base image: no registry answers, and debootstrap is not installed.")
    folder = storage / "debian"
    shutil.rmtree(folder, ignore_errors=True)
    _run(tool, "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(folder))
    for place in _EMPTIED:
        for path in (folder / place).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    archive = storage / "debian.tar"
    _run("tar", "-C", str(folder), "-cf", str(archive), ".")
    shutil.rmtree(folder)
    done = engine.ask("import", str(archive), LOCAL_BASE, seconds=None)
    archive.unlink()
    if done.returncode:
        raise SystemExit(f"Debian could not be imported: {done.stderr.strip()}")


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed.")


def build(engine: Engine, name: str, on: str | None, version: str) -> None:
    """Build docker/Dockerfile with this machine's settings of pip."""
    arguments = {"VERSION": version, **({"BASE": on} if on else {}), **pip_settings()}
    mounts = local_paths(arguments) if engine.name == "podman" else []
    engine.build(ROOT / "docker" / "Dockerfile", ROOT, name, arguments, mounts)


def bake(engine: Engine, name: str, image: str, folder: Path, digest: str) -> None:
    """Build docker/Dockerfile.bundle over an image, with the bundle in a folder."""
    arguments = {"IMAGE": image, "DIGEST": digest}
    engine.build(ROOT / "docker" / "Dockerfile.bundle", folder, name, arguments, [])


def pip_settings() -> dict[str, str]:
    """The indices, folders and certificates that pip uses here, from its files and its environment.

    Empty where there are none: then the Dockerfile's own hold.
    """
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    found = {}
    # global.find-links='/wheels', or :env:.find-links='/wheels': the environment wins
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        name = "PIP_" + key.strip(":").split(".")[-1].upper().replace("-", "_")
        if name in PIP:
            found[name] = value.strip("'\"").replace("\\n", " ").strip()
    return found


def local_paths(arguments: dict[str, str]) -> list[str]:
    """Folders and files of this machine that settings of pip name, for the build to read."""
    words = [word for key, value in arguments.items() if key in PIP for word in value.split()]
    paths = {Path(urllib.parse.urlparse(word).path) for word in words if word.startswith(("file:", "/"))}
    # a certificate's folder, for others link into it; an index's parent, for its pages lead to files beside it
    wanted = {path.parent if path.is_file() or path.name == "simple" else path for path in paths if path.exists()}
    return sorted(map(str, wanted))
