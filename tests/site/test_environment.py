import os
import subprocess
import sys
from pathlib import Path

import pytest

from medmamba.site.environment import CACHES, prepare


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_a_home_that_can_be_written_to_stays(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home"), "USER": "me"}
    prepare(environ)
    assert environ == {"HOME": str(tmp_path / "home"), "USER": "me"} and (tmp_path / "home").is_dir()


@pytest.mark.parametrize("home", [{}, {"HOME": "/dev/null/home"}, {"HOME": ""}])
def test_without_a_home_all_caches_lie_among_temporary_files(home: dict[str, str], tmp_path: Path) -> None:
    environ = {**home, "MPLCONFIGDIR": str(tmp_path / "mine")}
    prepare(environ)
    assert environ["MPLCONFIGDIR"] == str(tmp_path / "mine") and (tmp_path / "mine").is_dir()
    for name in CACHES:
        assert Path(environ[name]).is_dir() and Path(environ[name]).is_relative_to(tmp_path)
    assert (tmp_path / f"medmamba-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_a_folder_of_others_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"medmamba-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    environ: dict[str, str] = {}
    prepare(environ)
    assert not list((tmp_path / "elsewhere").iterdir()) and Path(environ["HOME"]).is_dir()


def test_a_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pwd

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    environ = {"HOME": str(tmp_path)}
    prepare(environ)
    assert (environ["USER"], environ["LOGNAME"]) == ("medmamba", "medmamba")


def test_nothing_heavy_is_imported_before() -> None:
    code = "import sys, medmamba.site; sys.exit(len({'torch', 'numpy', 'nibabel'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
