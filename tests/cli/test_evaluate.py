import json
from pathlib import Path
from typing import Any

import pytest

from medmamba.data.phantoms import write_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "nnUNet_raw", 900, "Phantoms", training=2, test=1)


def test_table_and_json(run: Any, dataset: Path, tmp_path: Path) -> None:
    labels = dataset / "labelsTr"
    table = run("evaluate", "--pred", labels, "--ref", labels, "--dataset", "Phantoms", "--data-root", tmp_path)
    assert table.exit_code == 0
    assert "vessel" in table.stdout and "1.0000" in table.stdout
    given = ("--labels", dataset / "dataset.json", "--json")
    assert json.loads(run("evaluate", "--pred", labels, "--ref", labels, *given).stdout)["mean_dice"] == 1


def test_a_missing_case_fails(run: Any, dataset: Path) -> None:
    given = ("--labels", dataset / "dataset.json")
    result = run("evaluate", "--pred", dataset / "labelsTs", "--ref", dataset / "labelsTr", *given)
    assert result.exit_code == 4
    assert "phantom_000.nii.gz" in result.stderr


@pytest.mark.parametrize("given", [(), ("--dataset", "Phantoms", "--labels", "dataset.json")])
def test_labels_come_from_one_place(run: Any, given: tuple[str, ...]) -> None:
    assert run("evaluate", "--pred", ".", "--ref", ".", *given).exit_code == 2
