import json
from pathlib import Path

import pytest

from medmamba import demo
from medmamba.data.folders import Folders
from medmamba.errors import DataError, MedMambaError


@pytest.fixture
def places(tmp_path: Path) -> Folders:
    return Folders(*(tmp_path / "out" / part for part in ("raw", "preprocessed", "results")))


def make(folder: Path, *files: str) -> Path:
    for name in ("dataset.json", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def test_a_dataset_is_linked_not_copied(tmp_path: Path, places: Folders) -> None:
    source = make(tmp_path / "Dataset321_Mine")
    for _ in range(2):
        link = demo._linked(source, places)
        assert link.is_symlink() and link.resolve() == source.resolve()


@pytest.mark.parametrize("name", ["Mine", "Dataset3_Mine", "Dataset321Mine"])
def test_a_dataset_needs_its_name(tmp_path: Path, places: Folders, name: str) -> None:
    with pytest.raises(DataError, match="DatasetXXX_Name"):
        demo._linked(make(tmp_path / name), places)


def test_held_out_are_the_test_cases_with_labels(tmp_path: Path, places: Folders) -> None:
    folder = make(tmp_path / "Dataset321_Mine", "labelsTs/a.nii", "imagesTs/a_0000.nii", "imagesTs/a_0001.nii")
    found = demo._held_out(folder, places, ".nii")
    assert found.names == ["a"]
    assert [path.name for path in found.images] == ["a_0000.nii", "a_0001.nii"]


def test_else_the_validation_cases_of_fold_0(tmp_path: Path, places: Folders) -> None:
    folder = make(tmp_path / "Dataset321_Mine", "imagesTr/b_0000.nii", "imagesTr/c_0000.nii", "imagesTr/bb_0000.nii")
    split = places.preprocessed / folder.name / "splits_final.json"
    split.parent.mkdir(parents=True)
    split.write_text(json.dumps([{"train": ["c"], "val": ["b"]}, {"train": ["b"], "val": ["c"]}]))
    found = demo._held_out(folder, places, ".nii")
    assert [path.name for path in found.images] == ["b_0000.nii"]
    assert found.references == folder / "labelsTr"


@pytest.mark.parametrize(
    ("raised", "kind"), [(DataError("bad.", "mend."), DataError), (ZeroDivisionError("x"), MedMambaError)]
)
def test_errors_name_the_step(raised: Exception, kind: type[MedMambaError]) -> None:
    told: list[str] = []
    with pytest.raises(kind, match="step 'train'"), demo._step("train", told.append):
        raise raised
    assert told == ["train"]
