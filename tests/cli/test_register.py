"""medmamba register as it is typed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.register import made_pairs
from tests.register.made_pairs import centred, save

QUICK = ("--affine", "translation", "--init", "header", "--deform", "none", "--device", "cpu")
Files = dict[str, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return made_pairs.write_pair(tmp_path_factory.mktemp("pair"))


def test_the_help_fits_and_is_shown_without_arguments(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    shown = run("register", "--help").stdout
    assert all(len(line) <= 80 for line in shown.splitlines())
    for part in ("--fixed", "--auto-seg", "--io-labels", " Deformation ", "warp", "jacobian", "evaluate", "batch"):
        assert part in shown
    assert "--fixed-seg" in run("register").stdout
    assert "summary.csv" in run("register", "batch", "--help").stdout


def test_a_pair(run: Any, files: Files, tmp_path: Path) -> None:
    given = ("--fixed", files["fixed"], "--moving", files["moving"], "--out", tmp_path / "result")
    segs = ("--fixed-seg", files["fixed_seg"], "--moving-seg", files["moving_seg"])
    result = run("register", *given, *segs, *QUICK)
    assert result.exit_code == 0, result.output
    for part in ("moving.nii.gz onto fixed.nii.gz", "affine (kept)", "Dice", "folding 0 %", "look at qc.png"):
        assert part in result.stdout
    table = result.stdout[: result.stdout.index("Result:")]
    assert all(len(line) <= 80 for line in table.splitlines())
    again = run("register", *given, *QUICK, "--json")
    assert json.loads(again.stdout) == json.loads((tmp_path / "result/report.json").read_text())


def test_what_is_refused_has_exit_code_2(run: Any, files: Files, tmp_path: Path) -> None:
    flat = save(tmp_path / "flat.nii.gz", np.full((12, 12, 12), 5, np.int16), centred((1, 1, 1), (12, 12, 12)))
    out = ("--out", tmp_path / "out")
    cases = {
        "5 everywhere": ("--fixed", files["fixed"], "--moving", flat, *out),
        "gone.nii.gz": ("--fixed", "gone.nii.gz", "--moving", files["moving"], *out),
        "--out is missing": ("--fixed", files["fixed"], "--moving", files["moving"]),
        "is a file": ("--fixed", files["fixed"], "--moving", files["moving"], "--out", flat),
        "--deform net needs a network": ("--fixed", flat, "--moving", flat, *out, "--deform", "net"),
        "There is no device": ("--fixed", flat, "--moving", flat, *out, "--device", "tpu9"),
        "goes with a pair": ("--fixed", flat, "points", "--transform", flat, "--points", flat, "--out", flat),
    }
    for sentence, given in cases.items():
        result = run("register", *given)
        assert result.exit_code == 2 and sentence in result.stderr, (sentence, result.output)
        assert not (tmp_path / "out").exists()


def test_a_worse_result_has_exit_code_3(run: Any, files: Files, tmp_path: Path) -> None:
    """Segmentations that already agree: by them every change makes it worse, and they are believed."""
    given = ("--fixed", files["fixed"], "--moving", files["moving"], "--out", tmp_path / "result")
    segs = ("--fixed-seg", files["fixed_seg"], "--moving-seg", files["fixed_seg"])
    result = run("register", *given, *segs, "--affine", "translation", "--init", "moments", "--deform", "none")
    report = json.loads((tmp_path / "result/report.json").read_text())
    assert result.exit_code == 3 and report["outcome"]["kept"] == "start" and "made it worse" in result.stdout


def test_a_batch(run: Any, files: Files, tmp_path: Path) -> None:
    lines = ("fixed,moving", f"{files['fixed']},{files['moving']}", f"{files['fixed']},gone.nii.gz")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    given = ("register", "batch", "--pairs", tmp_path / "pairs.csv", "--out", tmp_path / "out", *QUICK)
    result = run(*given)
    assert result.exit_code == 6 and "1 of 2 cases failed" in result.stderr and "gone.nii.gz" in result.stderr
    assert "fixed_to_moving" in result.stdout and "2 pairs: 1 done, 1 failed" in result.stdout
    again = run(*given, "--json")
    assert [pair["status"] for pair in json.loads(again.stdout)["pairs"]] == ["kept", "failed"]
    assert "2/2 fixed_to_gone  failed" in again.stderr
