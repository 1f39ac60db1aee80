import json
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started for memory, which takes seconds; tests/bench does that."""
    monkeypatch.setattr("medmamba.bench.child.run", lambda jobs, *a: [{} for _ in jobs])


QUICK = ("bench", "scan", "--quick", "--threads", "1", "--workload", "segmamba-3")


@pytest.mark.parametrize("command", ["scan", "network", "labels", "kernels", "train"])
def test_help_shows_an_example(run: Any, command: str) -> None:
    result = run("bench", command, "--help")
    assert result.exit_code == 0
    assert f"medmamba bench {command}" in result.stdout.split("Example")[1]


def test_scan_table_fits_and_says_who_is_missing(run: Any) -> None:
    result = run(*QUICK, "--directions", "1", "--only", "chunked", "--only", "mamba-ssm", "--only", "step")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 120
    assert any("chunked" in line and "step loop" in line and "x forward" in line for line in lines)
    assert any(line.strip() == "mamba-ssm: CUDA only" for line in lines)
    assert any("G exp/s" in line for line in lines)
    assert "timing" in result.stderr and "timing" not in result.stdout


def test_scan_json(run: Any) -> None:
    result = run(*QUICK, "--no-peers", "--no-backward", "--json")
    rows = json.loads(result.stdout)["rows"]
    assert {len(row["directions"]) for row in rows} == {1, 3}
    assert not any("mambapy" in row["name"] for row in rows)
    assert all(set(row["timings"]) <= {"forward"} for row in rows)


def test_an_unknown_workload_is_a_sentence(run: Any) -> None:
    result = run("bench", "scan", "--workload", "nothing")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "There is no scan workload 'nothing'."


NETWORK = ("bench", "network", "--patch", "16", "--threads", "1", "--repeats", "1", "--dtype", "fp32")


def test_network_table_fits(run: Any) -> None:
    table = run(*NETWORK, "--net", "lightm-unet")
    assert table.exit_code == 0
    assert max(map(len, table.stdout.splitlines())) <= 120
    assert "patch 16x16x16" in table.stdout and "plain-unet" in table.stdout and "1.00x" in table.stdout


def test_network_json(run: Any) -> None:
    rows = json.loads(run(*NETWORK, "--net", "plain-unet", "--json").stdout)["rows"]
    assert [row["how"] for row in rows] == ["torch fp32", "engine fp32"]


def test_an_unknown_network_is_a_sentence(run: Any) -> None:
    result = run("bench", "network", "--net", "nothing")
    assert result.exit_code == 2 and "There is no network 'nothing'." in result.stderr


def test_labels_needs_a_model(run: Any, tmp_path: Any) -> None:
    result = run("bench", "labels", "--input", str(tmp_path))
    assert result.exit_code == 2
    assert "--model FOLDER" in result.stderr


def test_labels_table(run: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from medmamba.bench import labels

    rows = [labels.Agreement(form, 1.0, share, share, share, 2) for form, share in (("torch fp32", 1), ("bf16", 0.999))]
    monkeypatch.setattr(labels, "compare", lambda *arguments: rows)
    result = run("bench", "labels", "--model", str(tmp_path), "--input", str(tmp_path))
    assert result.exit_code == 0
    assert "99.9000%" in result.stdout
    as_json = run("bench", "labels", "--model", str(tmp_path), "--input", str(tmp_path), "--json")
    assert json.loads(as_json.stdout)[1]["mean"] == 0.999


def test_kernels_says_when_triton_is_missing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("bench", "kernels")
    assert result.exit_code == 3
    assert "Triton is not installed" in result.stderr


def test_kernels_for_an_architecture_that_does_not_exist(run: Any) -> None:
    result = run("bench", "kernels", "--capability", "20")
    assert result.exit_code == 2
    assert "80, 86, 89, 90" in result.stderr


def test_train_table(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from medmamba.bench import training

    rows = tuple(training.Row(name, 8, 1.0, 0.9, 1.1, 0.25, 1.5, 2.0) for name in ("nnU-Net's", "medmamba's"))
    about = {"device": "x", "gpu": False, "threads": 2, "date": "today", "versions": {"torch": "2", "nnunetv2": "2.8"}}
    found = training.TrainingReport(
        about, "D", "3d_fullres", "U", (40, 56, 40), 2, 0, "fp32", rows, 0.0321, (0.01, 0.05), 0.0123
    )
    monkeypatch.setattr(training, "run", lambda *arguments: found)
    table = run("bench", "train", "--device", "cpu")
    assert table.exit_code == 0
    assert "patch 40x56x40, batch 2" in table.stdout and "25.0%" in table.stdout
    assert "+3.2%" in table.stdout and "+1.2%" in table.stdout
    assert json.loads(run("bench", "train", "--device", "cpu", "--json").stdout)["overhead"] == 0.0321
