"""Build sdist and wheel, install the wheel in an environment of its own, and run it from another folder.

The new environment borrows the dependencies of the one that runs this script through a .pth file. Such a file adds a
folder to the path without following the .pth files in it, so the editable install of this checkout is out of reach.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PLACES = {"medmamba": "*.py", "cli": "*.py", "datasets": "*.toml", "plans": "*.json"}
_PROBE = """
import importlib.util, pathlib, sys
import medmamba, medmamba.cli, medmamba.resources as resources
here = pathlib.Path(sys.prefix).resolve()
found = [medmamba.__file__, medmamba.cli.__file__, resources.folder("datasets"), resources.folder("plans")]
for path in found:
    assert here in pathlib.Path(path).resolve().parents, f"{path} is not the wheel's"
for name in ("cli", "datasets", "plans", "tools", "tests"):
    spec = importlib.util.find_spec(name)
    assert spec is None or here not in pathlib.Path(spec.origin or "/").resolve().parents, f"{name} at the top level"
print("imported from", medmamba.__file__)
"""
_SCAN = """
import sys, torch
from medmamba.kernels import library
from medmamba.scan import choose, selective_scan
name = choose(torch.device("cpu"), torch.float32).name
assert name == sys.argv[1], f"the scan takes {name}, expected {sys.argv[1]}: {library.describe()}"
x, A, B = torch.ones(1, 9, 3), -torch.ones(3, 2), torch.ones(1, 9, 2)
assert selective_scan(x, x, A, B, B).isfinite().all()
print("scan:", name, "-", library.describe())
"""


def main() -> None:
    """Run every step; an exception or a failing command ends it."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", str(temporary / "dist"), str(ROOT), quiet=True)
        wheel = next((temporary / "dist").glob("*.whl"))
        check_content(wheel)
        elsewhere = temporary / "elsewhere"
        elsewhere.mkdir()
        python = install(wheel, temporary / "environment")
        run(str(python), "-c", _PROBE, cwd=elsewhere)
        run(str(python), "-c", _SCAN, "cpu" if has_compiler() else "chunked", cwd=elsewhere)
        command = str(python.with_name("medmamba"))
        for arguments in (["--version"], ["datasets", "list"], ["nets"], ["env"]):
            run(command, *arguments, cwd=elsewhere)
        plain = build_without_compiler(temporary / "plain")
        run(str(install(plain, temporary / "plain_environment")), "-c", _SCAN, "chunked", cwd=elsewhere)
    print(f"{wheel.name}: complete, and runs outside the checkout; built without a compiler it runs in plain torch")


def has_compiler() -> bool:
    """Whether the library can be built here, so that its absence from the wheel would be a fault."""
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))


def build_without_compiler(folder: Path) -> Path:
    """The wheel as it is built where no compiler works."""
    missing = {"CC": "no-compiler", "CXX": "no-compiler"}
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT), quiet=True, **missing)
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel into an environment of its own; returns the interpreter."""
    python = environment(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    run(*pip, "--no-index", str(wheel))
    return python


def check_content(wheel: Path) -> None:
    """The wheel holds every module, card and preset of the tree, and nothing at the top level but medmamba."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in inside}
    assert all(top == "medmamba" or top.endswith(".dist-info") for top in tops), f"top level of the wheel: {tops}"
    assert any(name.endswith("/LICENSE") for name in inside), "no licence in the wheel"
    for place, pattern in _PLACES.items():
        prefix = "" if place == "medmamba" else "medmamba/"
        files = {prefix + path.relative_to(ROOT).as_posix() for path in (ROOT / place).rglob(pattern)}
        assert files <= inside, f"not in the wheel: {sorted(files - inside)}"


def environment(folder: Path) -> Path:
    """A fresh environment that also sees the present one's packages; returns its interpreter."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)}, scheme="venv")
    Path(paths["purelib"], "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def run(*command: str, cwd: Path = ROOT, quiet: bool = False, **variables: str) -> None:
    """Run a command without this process's Python and nnU-Net variables; SystemExit shows its output when it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "nnUNet", "MEDMAMBA"))}
    done = subprocess.run(command, cwd=cwd, env=clean | variables, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    if not quiet:
        print(done.stdout, end="")


if __name__ == "__main__":
    main()
