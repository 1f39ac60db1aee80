import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.cards import card, cards

from ..data.synthetic import build

NOT_PREPARED = [known.name for known in cards().values() if not known.layout]


def test_list_names_cards_and_what_is_on_disk(run: Any, tmp_path: Path) -> None:
    (tmp_path / "root" / "nnUNet_raw" / "Dataset321_Mine").mkdir(parents=True)
    result = run("datasets", "list", "--data-root", tmp_path / "root")
    assert result.exit_code == 0
    assert "BraTS2023" in result.stdout and "Dataset321_Mine" in result.stdout
    content = json.loads(run("datasets", "list", "--json").stdout)
    assert len(content["cards"]) >= 17 and content["on_disk"] == {}


@pytest.mark.parametrize("command", [("list",), *(("show", name) for name in cards())])
def test_tables_fit_80_columns(run: Any, command: tuple[str, ...]) -> None:
    lines = run("datasets", *command).stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith(("On disk", "`prepare`"))) <= 80


def test_list_by_task(run: Any) -> None:
    text = run("datasets", "list").stdout
    assert all(f"Known datasets: {task}" in text for task in ("segmentation", "video segmentation", "registration"))
    assert all(name in text.split("`prepare` takes all of them but ")[1] for name in NOT_PREPARED)


def test_show(run: Any) -> None:
    text = run("datasets", "show", "BraTS2023").stdout
    assert "syn51156910" in text and "verified" in text and "[2, 3]" not in text.split("regions")[0]
    assert json.loads(run("datasets", "show", "acdc", "--json").stdout)["id"] == 27


def test_prepare_and_its_exit_codes(run: Any, tmp_path: Path) -> None:
    build(card("BraTS2021"), tmp_path / "in")
    arguments = ("datasets", "prepare", "BraTS2021", "--from", tmp_path / "in", "--data-root", tmp_path)
    result = run(*arguments)
    assert result.exit_code == 0 and "datasets check BraTS2021 --data-root" in result.stdout
    assert "16 linked, 3 converted" in result.stdout and "\nDataset: " in result.stdout
    next((tmp_path / "in" / "BraTS2021_Training_Data").rglob("*_t1ce.nii.gz")).unlink()
    result = run(*arguments)
    assert result.exit_code == 4 and "Left out (1):" in result.stdout and "_t1ce.nii.gz is missing" in result.stdout
    assert run(*arguments, "--allow-missing").exit_code == 0
    content = json.loads(run(*arguments, "--json").stdout)
    assert content["numTraining"] == 2 and content["cases"]["training"] == {"expected": 1251, "found": 2}
    assert content["files"]["kept"] and len(content["incomplete"]) == 1


def test_prepare_says_what_is_wrong(run: Any, tmp_path: Path) -> None:
    result = run("datasets", "prepare", "BraTS2021", "--from", tmp_path / "nowhere")
    assert result.exit_code == 4 and "is no folder" in result.stderr and "Traceback" not in result.output
    assert run("datasets", "prepare", "Nothing", "--from", tmp_path).exit_code == 4
    (tmp_path / "Mine.toml").write_text("name = 3")
    result = run("datasets", "prepare", tmp_path / "Mine.toml", "--from", tmp_path)
    assert result.exit_code == 2 and "line 1: name" in result.stderr


def test_new_then_prepare(run: Any, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 2)
    for case in ("a", "b"):
        for folder in ("images", "labels"):
            (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(image, str(tmp_path / "in" / folder / f"{case}.nii.gz"))
    result = run("datasets", "new", "--from", tmp_path / "in", "--name", "Mine", "--id", 777)
    assert result.exit_code == 0 and "Next: medmamba datasets prepare Mine.toml" in result.stdout
    assert "unverified" in run("datasets", "show", "./Mine.toml").stdout
    assert run("datasets", "prepare", "./Mine.toml", "--from", tmp_path / "in").exit_code == 0
    assert (tmp_path / "medmamba_data" / "nnUNet_raw" / "Dataset777_Mine" / "dataset.json").is_file()
    assert run("datasets", "new", "--from", tmp_path / "in", "--name", "Mine").exit_code == 4
    bare = ("datasets", "new", "--from", tmp_path / "in" / "images", "--name", "Bare")
    assert "--images-only" in run(*bare).stderr
    assert run(*bare, "--images-only").exit_code == 0
    assert 'task = "registration"' in (tmp_path / "Bare.toml").read_text()


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
