import os
from pathlib import Path

import pytest

from medmamba.data.folders import Folders, folders
from medmamba.nnunet import door

VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "nnUNet_extTrainer", "MEDMAMBA_HOME")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what `export` writes is taken back too
        monkeypatch.delenv(name)


def test_each_variable_counts_on_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("nnUNet_raw", "/somewhere")
    found = folders(tmp_path)
    assert found == Folders(Path("/somewhere"), tmp_path / "nnUNet_preprocessed", tmp_path / "nnUNet_results")


def test_data_root_before_home_before_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders().raw == tmp_path / "medmamba_data" / "nnUNet_raw"
    monkeypatch.setenv("MEDMAMBA_HOME", "/home_of_it")
    assert folders().raw == Path("/home_of_it/nnUNet_raw")
    assert folders(Path("root")).raw == tmp_path / "root" / "nnUNet_raw"


def test_export_appends_our_door_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("nnUNet_extTrainer", "/theirs")
    folders(tmp_path).export()
    folders(tmp_path).export()
    assert os.environ["nnUNet_extTrainer"] == os.pathsep.join(["/theirs", str(door.folder())])
    assert os.environ["nnUNet_results"] == str(tmp_path / "nnUNet_results")
