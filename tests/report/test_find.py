from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.report.find import look


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_channels_labels_and_what_is_missing(tmp_path: Path) -> None:
    images = touch(tmp_path / "i", "a_0000.nii.gz", "a_0001.nii.gz", "b.mha", ".hidden.nii.gz", "notes.txt")
    labels = touch(tmp_path / "p", "a.nii.gz", "c.png")
    found = look(images, labels, None)
    assert [path.name for path in found.of("a").channels] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert found.of("a").missing == () and found.of("a").reference is None
    assert found.of("b").channels == (images / "b.mha",) and found.of("b").missing == ("prediction",)
    assert found.of("c").prediction == labels / "c.png" and found.of("c").missing == ("image",)


def test_a_case_that_ends_like_a_channel_has_its_own_files(tmp_path: Path) -> None:
    found = look(touch(tmp_path / "i", "scan_0001.nii.gz", "scan_0001_0000.nii.gz", "scan_0002.nii.gz"), None, None)
    assert [path.name for path in found.of("scan_0001").channels] == ["scan_0001.nii.gz"]
    assert [path.name for path in found.of("scan_0002").channels] == ["scan_0002.nii.gz"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be listed"):
        look(tmp_path / "none", None, None)
