from pathlib import Path

import pytest

from medmamba import doctor, runtime
from medmamba.data.folders import folders
from medmamba.kernels import library


def findings(root: Path) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine(folders(root))}


def test_little_shared_memory_is_noted_with_a_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "shared_memory", lambda: 64 * 2**20)
    found = findings(tmp_path)["shared memory"]
    assert found.state == "note"
    assert "--shm-size" in found.fix


def test_a_full_disk_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "free_disk", lambda folder: 2**30)
    assert findings(tmp_path)["results"].state == "note"


def test_too_many_threads_are_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "cpu_count", lambda: 0)
    assert findings(tmp_path)["threads"].fix.startswith("export OMP_NUM_THREADS")


def test_without_compiled_kernels_the_reason_and_the_step_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(library, "_open", lambda: (None, "not built"))
    found = findings(tmp_path)
    assert found["compiled kernels"].state == "note"
    assert "C++ compiler" in found["compiled kernels"].fix
    assert found["scan on cpu"].found.startswith("chunked")


def test_all_needed_packages_are_dependencies() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert [name for name in doctor._NEEDED if f'"{name}' not in text] == []
