import json
from pathlib import Path
from typing import Any

import pytest

from medmamba.register.transforms.files import write_learn2reg
from medmamba.register.transforms.itk import write_itk
from tests.register.scenes import dataset, grid, truth


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    write_learn2reg(truth(), grid(), grid(), tmp_path / "l2r" / "disp_0001_0002.nii.gz")
    return dataset(tmp_path / "data"), tmp_path / "l2r"


def test_table_and_report(run: Any, folders: tuple[Path, Path], tmp_path: Path) -> None:
    data, pred = folders
    out = tmp_path / "report.json"
    result = run("register", "evaluate", "--dataset", str(data), "--pred", str(pred), "--out", str(out))
    assert result.exit_code == 0, result.stderr
    row = next(line for line in result.stdout.splitlines() if line.strip().startswith("dice "))
    content = json.loads(out.read_text())
    assert f"{content['summary']['dice']['mean']:.4f}" in row
    assert "labels warped once, linear" in result.stdout and "before" in result.stdout
    again = run("register", "evaluate", "--dataset", str(data), "--pred", str(pred), "--baseline", str(out), "--json")
    assert json.loads(again.stdout)["differences"][f"baseline {out}"]["dice"]["mean"] == 0


def test_labels_and_pairs_from_elsewhere(run: Any, folders: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = folders
    write_itk(truth(), tmp_path / "pred" / "Set_0001_0000_to_Set_0002_0000.h5")
    where = ("--labels", str(data / "labelsTr"), "--pred", str(tmp_path / "pred"))
    named = run("register", "evaluate", *where, "--json")  # by the name of the file alone
    (tmp_path / "pairs.csv").write_text("fixed,moving\nSet_0001_0000,Set_0002_0000\n")
    points = ("--points", str(data / "keypointsTr"), "--pairs", str(tmp_path / "pairs.csv"))
    listed = run("register", "evaluate", *where, *points, "--label-interp", "nearest", "--json")
    first, second = (json.loads(one.stdout)["pairs"][0]["values"] for one in (named, listed))
    assert first["tre_mm"] is None and second["tre_mm"] < 1e-4 and second["dice"] > 0.86


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "Which labels?"),
        (("--labels", "nowhere"), "nowhere is not a folder"),
        (("--labels", ".", "--label-interp", "cubic"), "--label-interp 'cubic' is not known"),
        (("--labels", "."), "Which pairs?"),
    ],
)
def test_refusals_are_sentences(run: Any, tmp_path: Path, more: tuple[str, ...], says: str) -> None:
    result = run("register", "evaluate", "--pred", str(tmp_path), *more)
    assert result.exit_code == 2 and says in result.stderr
