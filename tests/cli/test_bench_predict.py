import json
from pathlib import Path
from typing import Any

import pytest

from medmamba.bench import predict as bench
from medmamba.bench import predict_limits as limits
from medmamba.bench.predict_labels import Agreement, CaseAgreement
from medmamba.bench.predict_report import Compared, PredictOptions, PredictReport, Row
from medmamba.bench.process_tree import Usage

ABOUT = {
    "device": "a CPU", "gpu": False, "threads": 2, "date": "today",
    "versions": {"torch": "2", "nnunetv2": "2.8", "medmamba": "0"},
}  # fmt: skip


def usage(wall: float, peak: float) -> Usage:
    return Usage(wall, 2 * wall, int(peak * 2**30), int(peak * 2**29), 3, 0, "")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[PredictOptions]:
    """Nothing is run: stock took 10 s and 4 GiB, ours 4 s and 1 GiB, one voxel in a million differs; bf16 failed."""
    labels = Agreement((CaseAgreement("a", 10**6, 1, 10**5, True, 1, 0.001),))
    rows = (
        Row("nnU-Net", "stock -o OUTPUT", (usage(10.0, 4.0), usage(11.0, 3.0))),
        Row("medmamba fp32", "ours --output OUTPUT", (usage(4.0, 1.0), usage(5.0, 1.0)), "", labels),
        Row("medmamba bf16", "ours --output OUTPUT", (), "failed: exit code 1: no"),
    )
    seen: list[PredictOptions] = []

    def run(options: PredictOptions, folder: Path | None, tell: Any) -> PredictReport:
        seen.append(options)
        tell("running")
        return PredictReport(ABOUT, (Compared("small", "a folder of small images", True, 3, rows),))

    monkeypatch.setattr(bench, "run", run)
    return seen


def test_help_shows_an_example(run: Any) -> None:
    result = run("bench", "predict", "--help")
    assert result.exit_code == 0
    assert "medmamba bench predict" in result.stdout.split("Example")[1]


def test_table(run: Any, asked: list[PredictOptions]) -> None:
    result = run(
        "bench", "predict", "--ours", "--step-size 0.6", "--size", "64x48x32", "--workload", "many", "--mirror"
    )
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    row = next(line for line in lines if line.strip().startswith("medmamba fp32 "))
    assert row.split()[2:] == ["2", "4.0", "8.0", "1.00", "0.40x", "0.40x", "0.25x", "99.9999%", "99.9999%"]
    assert "failed" in next(line for line in lines if line.strip().startswith("medmamba bf16 "))
    assert any("1 of 1000000 voxels differ, 1 of them ties" in line for line in lines)
    assert any("exit code 1: no" in line for line in lines) and "with mirroring" in result.stdout
    assert "running" in result.stderr and "running" not in result.stdout
    (options,) = asked
    assert options.ours == ("--step-size", "0.6") and options.size == (64, 48, 32) and options.mirror is True
    assert options.workloads == ("many",) and options.variants == ("fp32", "bf16")


def test_json(run: Any, asked: list[PredictOptions]) -> None:
    content = json.loads(run("bench", "predict", "--json").stdout)
    assert content["threads"] == 2 and content["memory"]
    stock, ours, failed = content["workloads"][0]["rows"]
    assert ours["ratios"]["peak"] == 0.25 and ours["agreement"]["differing"] == 1
    assert stock["ratios"] == {} == failed["ratios"] and stock["command"] == "stock -o OUTPUT"
    assert asked[0].mirror is None and asked[0].workloads == ("small", "few", "many")


def test_a_wrong_size_is_a_sentence(run: Any) -> None:
    result = run("bench", "predict", "--size", "64x64")
    assert result.exit_code == 2 and "'64x64' is no size" in result.stderr


@pytest.mark.parametrize(("peak", "absent", "code"), [(1.0, "", 0), (7.0, "", 1), (1.0, "failed: exit code 3: no", 1)])
def test_limits(run: Any, monkeypatch: pytest.MonkeyPatch, peak: float, absent: str, code: int) -> None:
    report = limits.LimitReport(ABOUT, "a CT", "medmamba predict", 6 * 2**30, usage(60.0, peak), absent)
    monkeypatch.setattr(limits, "run", lambda *arguments: report)
    result = run("bench", "predict", "--limits")
    assert result.exit_code == code
    assert ("NOT KEPT" in result.stdout) == bool(code) and f"peak {peak:.2f} GiB" in result.stdout
    assert ("60 s" in result.stdout) != bool(absent)
    assert json.loads(run("bench", "predict", "--limits", "--json").stdout)["kept"] is not bool(code)
