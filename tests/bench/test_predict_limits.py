"""The whole command under a limit: it keeps it, and the system stops one that does not."""

import sys
from pathlib import Path

import pytest

from medmamba.bench import predict_limits
from medmamba.bench.process_tree import Usage

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits from outside: Linux only")


@pytest.mark.slow
@linux
def test_a_tiny_volume_within_its_ceiling(tmp_path: Path) -> None:
    report = predict_limits.run("1500M", quick=True, folder=tmp_path)
    assert report.kept, report.absent or report.usage
    assert (tmp_path / "limits/labels/ct.nii.gz").is_file() and report.limit == 1500 * 2**20


@linux
def test_the_command_carries_the_ceiling_and_the_system_holds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []

    def run(command: list[str], environment: object, log: Path, memory: int) -> Usage:
        assert command[command.index("--max-ram") + 1] == "2G" and "--no-mirror" in command and command[-3] == "--x"
        asked.append(memory)
        return Usage(1.0, 1.0, 3 * 2**30, 1, 1, 0, "")

    monkeypatch.setattr(predict_limits.process_tree, "run", run)
    report = predict_limits.run("2G", ("--x",), quick=True, folder=tmp_path)
    assert asked == [2 * 2**30] and not report.kept and not report.as_json()["kept"]


@linux
def test_a_command_that_is_refused_memory_has_its_reason_told(tmp_path: Path) -> None:
    report = predict_limits.run("20M", quick=True, folder=tmp_path)
    assert report.absent.startswith("failed: ") and not report.kept
