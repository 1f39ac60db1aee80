"""Folders of transforms against a dataset, and the command `register evaluate` on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medmamba.errors import ConfigError
from medmamba.files import write_json
from medmamba.register.evaluation.folder import evaluate_folder
from medmamba.register.evaluation.predictions import Places
from medmamba.register.evaluation.report import FORMAT, read_run
from medmamba.register.pairs import read_pairs
from medmamba.register.transforms.files import write_learn2reg
from medmamba.register.transforms.itk import write_itk
from tests.register.scenes import SHIFT, dataset, grid, truth


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return dataset(tmp_path / "data")


def evaluated(folder: Path, data: Path, **more: Any) -> dict[str, Any]:
    report = evaluate_folder(folder, read_pairs(data / "dataset.json"), Places.of_dataset(data), **more)
    return report.as_json()


def test_learn2reg_fields_and_our_folders_score_alike(data: Path, tmp_path: Path) -> None:
    write_learn2reg(truth(), grid(), grid(), tmp_path / "l2r" / "disp_0001_0002.nii.gz")
    ours = tmp_path / "ours" / "Set_0001_0000_to_Set_0002_0000"
    write_itk(truth(), ours / "transform.h5")
    write_itk(truth(), ours / "affine.tfm")
    one, other = evaluated(tmp_path / "l2r", data), evaluated(tmp_path / "ours", data)
    first, second = (content["pairs"][0]["values"] for content in (one, other))
    assert first["dice"] == pytest.approx(second["dice"], abs=1e-6) and first["dice"] > 0.88
    assert first["tre_mm"] == pytest.approx(0, abs=1e-4) and first["folding_percent"] == 0
    gain = other["differences"]["before"]
    assert gain["tre_mm"]["mean"] == pytest.approx(-np.linalg.norm(SHIFT), abs=1e-4) and gain["dice"]["mean"] > 0.3
    assert other["differences"]["affine"]["dice"]["mean"] == 0 and "affine" not in one["differences"]
    assert one["summary"]["dice_3"]["n"] == 1 and one["label_interpolation"] == "linear"


def test_a_baseline_is_compared_pair_by_pair(data: Path, tmp_path: Path) -> None:
    write_learn2reg(truth(), grid(), grid(), tmp_path / "l2r" / "disp_0001_0002.nii.gz")
    content = evaluated(tmp_path / "l2r", data)
    content["pairs"][0]["values"]["dice"] -= 0.25
    write_json(tmp_path / "old.json", content)
    found = evaluated(tmp_path / "l2r", data, baseline=tmp_path / "old.json")
    assert found["differences"][f"baseline {tmp_path / 'old.json'}"]["dice"]["mean"] == pytest.approx(0.25)
    with pytest.raises(ConfigError, match="warped labels by linear, this run by nearest"):
        evaluated(tmp_path / "l2r", data, baseline=tmp_path / "old.json", interpolation="nearest")
    content["pairs"][0]["name"] = "another"
    write_json(tmp_path / "old.json", content)
    with pytest.raises(ConfigError, match="none of these pairs"):
        evaluated(tmp_path / "l2r", data, baseline=tmp_path / "old.json")
    write_json(tmp_path / "other.json", {"format": FORMAT[:-1]})
    with pytest.raises(ConfigError, match="no report of medmamba register evaluate"):
        read_run(tmp_path / "other.json")


def test_an_absent_transform_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="lacks the transforms of 1 of 1 pairs: Set_0001_0000_to_Set_0002_0000"):
        evaluated(tmp_path / "empty", data)
    with pytest.raises(ConfigError, match="is not a folder"):
        evaluated(tmp_path / "nowhere", data)
