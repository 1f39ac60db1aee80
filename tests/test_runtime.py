import os
from pathlib import Path

import pytest

from medmamba import runtime
from medmamba.errors import SetupError


def test_cpu_is_always_there() -> None:
    assert runtime.device("cpu").type == "cpu"
    assert runtime.device().type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "meta"])
def test_missing_device_is_a_setup_error(name: str) -> None:
    with pytest.raises(SetupError, match=rf"{name}.*On this machine there is cpu"):
        runtime.device(name)


def test_cores_and_disk() -> None:
    assert runtime.cpu_count() >= 1
    assert runtime.cpu_name()
    assert runtime.free_disk(Path("does/not/exist")) == pytest.approx(runtime.free_disk(Path.cwd()), rel=0.05)


def test_threads_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    runtime.share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    runtime.share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


def test_large_pages_are_asked_for_unless_the_user_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    runtime.take_large_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    runtime.take_large_pages()
    assert os.environ.pop("THP_MEM_ALLOC_ENABLE") == "1"


def test_free_memory_is_what_the_system_and_the_container_leave(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtime, "_CGROUP", tmp_path)
    free = runtime.free_memory()
    assert free is None or free > 1 << 20
    for name, content in (("max", "3000000"), ("current", "2500000"), ("stat", "anon 7\ninactive_file 100000\n")):
        (tmp_path / f"memory.{name}").write_text(content)
    assert runtime.free_memory() == 600000
    (tmp_path / "memory.max").write_text("max")
    assert runtime.free_memory() == pytest.approx(free, rel=0.5)


def test_an_older_container_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "_CGROUP", tmp_path)
    (tmp_path / "memory").mkdir()
    for name, content in (
        ("limit_in_bytes", "900000"),
        ("usage_in_bytes", "1000000"),
        ("stat", "total_inactive_file 0"),
    ):
        (tmp_path / "memory" / f"memory.{name}").write_text(content)
    assert runtime.free_memory() == 0
