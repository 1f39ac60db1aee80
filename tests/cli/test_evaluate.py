import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from medmamba.data.phantoms import write_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "nnUNet_raw", 900, "Phantoms", training=2, test=1)


def test_table_and_json(run: Any, dataset: Path, tmp_path: Path) -> None:
    labels = dataset / "labelsTr"
    given = ("evaluate", "--pred", labels, "--ref", labels, "--jobs", "1")
    table = run(*given, "--dataset", "Phantoms", "--data-root", tmp_path)
    assert table.exit_code == 0, table.output
    assert "vessel" in table.stdout and "Mean Dice 1.0000" in table.stdout
    for option in ("--dataset", "--labels"):
        content = json.loads(run(*given, option, dataset / "dataset.json", "--json").stdout)
        assert content["mean"]["dice"]["mean"] == 1 and content["cases"] == 2


def test_files_are_written_and_tolerance_is_taken(run: Any, dataset: Path, tmp_path: Path) -> None:
    labels = dataset / "labelsTr"
    given = ("--dataset", dataset / "dataset.json", "--tolerance", "2,vessel=0.5", "--out", tmp_path / "scores")
    result = run("evaluate", "--pred", labels, "--ref", labels, *given, "--jobs", "1", "--lesion-wise")
    assert result.exit_code == 0 and "Lesions" in result.stdout, result.output
    content = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert content["targets"]["vessel"]["nsd_tolerance_mm"] == 0.5
    assert content["targets"]["core"]["nsd_tolerance_mm"] == 2
    assert content["lesion_rules"]["dilation"] == 3
    with (tmp_path / "scores" / "metrics.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == {"phantom_000", "phantom_001"}


def test_a_bad_case_is_named_the_rest_is_scored_and_the_exit_code_is_6(run: Any, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset / "labelsTr", tmp_path / "pred")
    (tmp_path / "pred" / "phantom_001.nii.gz").write_text("no image")
    given = ("--ref", dataset / "labelsTr", "--dataset", dataset / "dataset.json", "--out", tmp_path / "scores")
    result = run("evaluate", "--pred", tmp_path / "pred", *given, "--jobs", "1")
    assert result.exit_code == 6
    assert "1 of 2 cases failed: phantom_001" in result.stderr and "phantom_001.nii.gz cannot be used" in result.stderr
    content = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert (content["cases"], list(content["failures"])) == (1, ["phantom_001"])


def test_without_any_case_it_fails(run: Any, dataset: Path) -> None:
    given = ("--labels", dataset / "dataset.json", "--jobs", "1")
    result = run("evaluate", "--pred", dataset / "labelsTs", "--ref", dataset / "labelsTr", *given)
    assert result.exit_code == 4
    assert "None of 2 cases" in result.stderr and "phantom_000.nii.gz" in result.stderr


@pytest.mark.parametrize("given", [(), ("--dataset", "Phantoms", "--labels", "dataset.json")])
def test_labels_come_from_one_place(run: Any, given: tuple[str, ...]) -> None:
    assert run("evaluate", "--pred", ".", "--ref", ".", *given).exit_code == 2


def test_a_known_dataset_brings_its_regions_and_rules(run: Any, tmp_path: Path) -> None:
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[2:8, 2:8, 2:8], truth[4:6, 4:6, 4:6], truth[15:17, 15:17, 15:17] = 2, 3, 2
    (tmp_path / "ref").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(truth), str(tmp_path / "ref" / "a.nii.gz"))
    result = run("evaluate", "--pred", tmp_path / "ref", "--ref", tmp_path / "ref", "--dataset", "BraTS2023", "--json")
    content = json.loads(result.stdout)
    assert content["lesion_rules"] == {"dilation": 3, "min_volume": 50, "penalty": 374}
    assert [name for name, one in content["targets"].items() if one["in_mean"]] == ["WT", "TC", "ET"]
    assert content["targets"]["WT"]["lesions"]["found"] == 1 and content["targets"]["WT"]["lesions"]["small"] == 1
    assert content["targets"]["SNFH_ED"]["kind"] == "label"


def test_real_labels(run: Any, shared_data: Path, tmp_path: Path) -> None:
    """Each anterior part without its border: all measures say so, and the posterior part is perfect."""
    source = shared_data / "Dataset004_Hippocampus"
    for path in sorted((source / "labelsTr").glob("*.nii.gz"))[:3]:
        image = sitk.ReadImage(str(path))
        labels = sitk.GetArrayFromImage(image)
        labels[(labels == 1) & ~ndimage.binary_erosion(labels == 1)] = 0
        eroded = sitk.GetImageFromArray(labels)
        eroded.CopyInformation(image)
        for folder, one in (("ref", image), ("pred", eroded)):
            (tmp_path / folder).mkdir(exist_ok=True)
            sitk.WriteImage(one, str(tmp_path / folder / path.name))
    given = ("--dataset", source / "dataset.json", "--json", "--jobs", "1")
    found = json.loads(run("evaluate", "--pred", tmp_path / "pred", "--ref", tmp_path / "ref", *given).stdout)
    whole, less = (found["targets"][name]["measures"] for name in ("Posterior", "Anterior"))
    assert whole["dice"]["mean"] == whole["nsd"]["mean"] == 1 and 0.3 < less["dice"]["mean"] < 0.95
    assert less["volume_error_percent"]["high"] < -10 and 0.9 < less["hd95_mm"]["mean"] < 3


def test_a_place_that_takes_no_files_is_a_sentence(run: Any, dataset: Path, tmp_path: Path) -> None:
    labels, taken = dataset / "labelsTr", tmp_path / "taken"
    taken.touch()
    for out in (taken, taken / "scores"):
        result = run("evaluate", "--pred", labels, "--ref", labels, "--dataset", dataset / "dataset.json", "--out", out)
        assert result.exit_code == 3 and f"{out} could not be written" in result.stderr, result.output
