import shutil
from pathlib import Path

import yaml

from tests.site.made import Container, files, image, label_map


def given(data: Path, labels: Path, count: int) -> None:
    """Cases of several sizes; the second label is in four of them."""
    for number in range(count):
        shape = (10 + number, 12, 14)
        for channel in range(2):
            image(data / f"{number:012x}_{channel:04d}.nii.gz", number, shape)
        label_map(labels / f"{number:012x}.nii.gz", number, (0, 1, 2) if number < 4 else (0, 1), shape)


def test_counts_and_grids_of_many_cases(container: Container) -> None:
    volumes = container.root / "mlcommons" / "volumes"
    given(volumes / "data", volumes / "labels", 7)
    (volumes / "data" / "x_0000.nii.gz").write_bytes(b"nothing")
    ran = container("statistics")
    assert ran.code == 6 and ran.faults == ["not-gzip"]
    assert files(volumes / "statistics") == ["statistics.yaml"]
    text = (volumes / "statistics" / "statistics.yaml").read_text()
    content = yaml.safe_load(text)
    assert (content["cases"], content["with_labels"], content["channels"]) == (8, "fewer than 5 off 8", 2)
    assert content["failed"] == "fewer than 5"
    assert content["grid"]["shape"] == [[12, 13, 14], [12, 12, 12], [14, 14, 14]]
    assert content["grid"]["spacing"][2] == [0.7, 0.7, 0.7]
    assert content["labels"] == {"label 1": "fewer than 5 off 8"}  # the second is in four, and nobody has declared it
    assert "00000000" not in text and not {"min", "max"} & set(content["grid"])


def test_few_cases_are_no_statistics(container: Container, one_channel: Path) -> None:
    shutil.copytree(one_channel, container.root / "model")
    volumes = container.root / "mlcommons" / "volumes"
    given(volumes / "data", volumes / "labels", 3)
    for path in (volumes / "data").glob("*_0001.nii.gz"):
        path.unlink()
    assert container("statistics").code == 0
    content = yaml.safe_load((volumes / "statistics" / "statistics.yaml").read_text())
    assert (content["cases"], content["grid"]) == ("fewer than 5", "fewer than 5")
    assert content["labels"] == {"shell": "fewer than 5", "core": "fewer than 5"}


def test_a_hospital_has_them_too(mounted: Container) -> None:
    given(mounted.root / "input", mounted.root / "input" / "labels", 5)
    for path in (mounted.root / "input").glob("*_0001.nii.gz"):
        path.unlink()
    assert mounted("statistics").code == 0
    assert files(mounted.root / "output") == ["log.jsonl", "statistics.yaml"]
