import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAPPED = ("cli", "datasets", "plans")


def test_packages_list_is_the_tree() -> None:
    own = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "medmamba").rglob("*.py")}
    expected = own | {f"medmamba.{name}" for name in MAPPED}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected


def test_what_is_no_python_is_declared_as_data() -> None:
    """Beside the sources of the compiled library, which belong to the sdist alone."""
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "medmamba").rglob("*"):
        if path.is_dir() or path.suffix in (".py", ".pyc", ".so", ".dylib") or "csrc" in path.parts:
            continue
        packages = {
            ".".join(parent.relative_to(ROOT).parts): parent for parent in path.parents if ROOT in parent.parents
        }
        patterns = [folder / one for name, folder in packages.items() for one in data.get(name, ())]
        assert any(path.match(str(pattern)) for pattern in patterns), f"{path} is not in the wheel"


def test_mapped_folders_are_mapped() -> None:
    assert PROJECT["tool"]["setuptools"]["package-dir"] == {f"medmamba.{name}": name for name in MAPPED}


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in [*(ROOT / "medmamba").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_data_folders_hold_data_only() -> None:
    assert {path.suffix for path in (ROOT / "datasets").iterdir()} == {".toml"}
    assert {path.suffix for path in (ROOT / "plans").iterdir()} == {".json"}


def test_every_pin_is_a_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if "==" not in line] == []
    needed = {
        dependency.split(">")[0].split(";")[0].strip().lower() for dependency in PROJECT["project"]["dependencies"]
    }
    pinned = {line.split("==")[0].strip().lower() for line in lines}
    assert needed - pinned <= {"tomli"}
