import sys
from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.site.finding import case_folder, cases_in, channel_of
from tests.predict.made_images import recipe, save_series

BRATS = ("T1", "T1ce", "T2", "FLAIR")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("case_0002", 2),
        ("BraTS-GLI-00001-000-t1c", 1),
        ("BraTS-MET-00001_t1n", 0),
        ("a_t1ce", 1),
        ("a_T1-CE", 1),
        ("t2w", 2),
        ("a-T2-FLAIR", 3),
        ("flair", 3),
        ("BraTS-GLI-00001-000-seg", None),
        ("---", None),
    ],
)
def test_the_channel_that_a_name_tells(name: str, number: int | None) -> None:
    assert channel_of(name, BRATS) == number


def test_a_folder_is_a_case(tmp_path: Path) -> None:
    for name in ("x-t2f.nii.gz", "x-t1n.nii.gz", "x-seg.nii.gz", ".hidden-t1c.nii.gz", "notes.txt"):
        (tmp_path / "x").mkdir(exist_ok=True)
        (tmp_path / "x" / name).touch()
    found = case_folder(tmp_path / "x", recipe(channels=BRATS))
    assert (found.numbers, [path.name for path in found.files]) == ((0, 3), ["x-t1n.nii.gz", "x-t2f.nii.gz"])
    save_series(tmp_path / "y" / "late")
    found = case_folder(tmp_path / "y", recipe(channels=("CT",)))
    assert (found.kind, found.files) == ("dicom", (tmp_path / "y" / "late",))
    save_series(tmp_path / "y" / "early", uid="5.6")
    found = case_folder(tmp_path / "y", recipe(channels=("late", "early")))
    assert (found.kind, [path.name for path in found.files]) == ("dicom", ["late", "early"])


def test_all_forms_beside_each_other(tmp_path: Path) -> None:
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b/CT.nii.gz", "b/PET.nii.gz", "labels/a.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for number in range(2):
        save_series(tmp_path / f"c_000{number}", uid=f"1.{number}")
    found = cases_in(tmp_path, recipe(channels=("CT", "PET")))
    assert [(case.name, len(case.files), case.kind) for case in found] == [
        ("a", 2, "files"), ("b", 2, "files"), ("c", 2, "dicom"),
    ]  # fmt: skip
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="both cases"):
        cases_in(tmp_path, recipe(channels=("CT", "PET")))
    whole = save_series(tmp_path / "whole")
    assert [case.files for case in cases_in(whole, recipe())] == [(whole,)]


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_a_name_that_ends_the_readers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.nii.gz").touch()
    with pytest.raises(DataError, match="is not UTF-8"):
        cases_in(tmp_path, recipe())
