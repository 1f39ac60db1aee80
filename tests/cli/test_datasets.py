import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk


def test_list_names_cards_and_what_is_on_disk(run: Any, tmp_path: Path) -> None:
    (tmp_path / "root" / "nnUNet_raw" / "Dataset321_Mine").mkdir(parents=True)
    result = run("datasets", "list", "--data-root", tmp_path / "root")
    assert result.exit_code == 0
    assert "BraTS2023" in result.stdout and "Dataset321_Mine" in result.stdout
    content = json.loads(run("datasets", "list", "--json").stdout)
    assert len(content["cards"]) >= 17 and content["on_disk"] == {}


def test_show(run: Any) -> None:
    text = run("datasets", "show", "BraTS2023").stdout
    assert "syn51156910" in text and "verified" in text and "[2, 3]" not in text.split("regions")[0]
    assert json.loads(run("datasets", "show", "acdc", "--json").stdout)["id"] == 27


def test_clips(run: Any, tmp_path: Path) -> None:
    for part, array in (("frames", np.zeros((4, 5, 3), np.uint8)), ("masks", np.zeros((4, 5), np.uint8))):
        (tmp_path / "in" / "a" / part).mkdir(parents=True)
        sitk.WriteImage(
            sitk.GetImageFromArray(array, isVector=array.ndim == 3), str(tmp_path / "in/a" / part / "0.png")
        )
    arguments = (
        "datasets",
        "clips",
        "--from",
        tmp_path / "in",
        "--id",
        501,
        "--name",
        "Clips",
        "--data-root",
        tmp_path,
    )
    assert "--dataset Clips --net vivim" in run(*arguments).stdout
    assert (tmp_path / "nnUNet_raw" / "Dataset501_Clips" / "labelsTr" / "a.nii.gz").is_file()
    assert run(*arguments).exit_code == 4
