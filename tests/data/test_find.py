import json
from pathlib import Path

import pytest

from medmamba.data.find import dataset_card, dataset_folder, dataset_id, dataset_json, on_disk
from medmamba.data.folders import Folders
from medmamba.errors import DataError


@pytest.fixture
def places(tmp_path: Path) -> Folders:
    found = Folders(tmp_path / "raw", tmp_path / "preprocessed", tmp_path / "results")
    mine = found.raw / "Dataset321_Mine"
    mine.mkdir(parents=True)
    (mine / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "thing": 1}, "file_ending": ".mha"}))
    (found.preprocessed / "Dataset077_Old").mkdir(parents=True)
    return found


@pytest.mark.parametrize("name", ["Mine", "mine", "321", "Dataset321_Mine", "dataset321_mine", 321])
def test_on_disk_by_any_name(name: str | int, places: Folders) -> None:
    assert dataset_id(name, places) == 321
    assert dataset_folder(name, places).name == "Dataset321_Mine"


@pytest.mark.parametrize(("name", "number"), [("Hippocampus", 4), ("004", 4), ("BraTS2023", 523), ("Old", 77)])
def test_cards_and_preprocessed_folders_count(name: str, number: int, places: Folders) -> None:
    assert dataset_id(name, places) == number


def test_the_disk_comes_before_the_cards(places: Folders) -> None:
    (places.raw / "Dataset600_Hippocampus").mkdir()
    assert dataset_id("Hippocampus", places) == 600


@pytest.mark.parametrize("name", ["Nothing", "999"])
def test_unknown_lists_what_is_there(name: str, places: Folders) -> None:
    with pytest.raises(DataError, match=r"Dataset077_Old.*Hippocampus") as caught:
        dataset_id(name, places)
    assert name in caught.value.problem


@pytest.mark.parametrize(
    ("name", "meant"), [("Hippocampsu", "Hippocampus"), ("mime", "Mine"), ("brats2032", "BraTS2023"), ("olld", "Old")]
)
def test_what_is_written_alike_is_proposed(name: str, meant: str, places: Folders) -> None:
    with pytest.raises(DataError, match=rf"There is no dataset '{name}'\. Did you mean .*{meant}") as caught:
        dataset_id(name, places)
    assert "Cards:" not in caught.value.remedy


def test_folder_must_be_whole(places: Folders) -> None:
    with pytest.raises(DataError, match="has no folder Dataset004"):
        dataset_folder("Hippocampus", places)
    (places.raw / "Dataset004_Hippocampus").mkdir()
    with pytest.raises(DataError, match=r"no dataset\.json"):
        dataset_folder("Hippocampus", places)
    (places.raw / "Dataset004_Twin").mkdir()
    with pytest.raises(DataError, match="Several"):
        dataset_folder(4, places)


def test_description_from_disk_else_from_the_card(places: Folders) -> None:
    assert dataset_json("Mine", places)["file_ending"] == ".mha"
    assert dataset_json("BraTS2023", places)["labels"]["TC"] == [1, 3]


def test_other_folders_are_no_datasets(places: Folders) -> None:
    (places.raw / "Dataset1_Short").mkdir()
    (places.raw / "Dataset100_file").write_text("")
    assert on_disk(places) == {321: "Dataset321_Mine", 77: "Dataset077_Old"}


def test_a_card_is_that_of_the_folder_on_disk(places: Folders) -> None:
    found = dataset_card("KiTS23", places)
    assert found is not None and found.id == 220
    (places.raw / "Dataset220_Mine2").mkdir()
    assert dataset_card(220, places) is None and dataset_card("Mine", places) is None
    with pytest.raises(DataError, match="no dataset"):
        dataset_card("Nothing at all", places)
