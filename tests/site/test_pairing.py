from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.site.pairing import labels_in, pairs_in, stem_of


def test_files_of_one_name_are_a_pair(tmp_path: Path) -> None:
    made, known = tmp_path / "made", tmp_path / "known"
    for folder, names in ((made, ("a.nii.gz", "b.dcm", "c.mha", ".d.nii.gz")), (known, ("a.mha", "b.nii", "x.nrrd"))):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    pairs, surplus = pairs_in(made, known)
    assert pairs == {
        "a": (made / "a.nii.gz", known / "a.mha"),
        "b": (made / "b.dcm", known / "b.nii"),
        "x": (None, known / "x.nrrd"),
    }
    assert surplus == 1
    assert {case: one for case, (one, _) in pairs_in(tmp_path / "none", known)[0].items()} == dict.fromkeys("abx")


def test_two_files_of_one_case_are_refused(tmp_path: Path) -> None:
    for name in ("a.mha", "a.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="one case"):
        labels_in(tmp_path)
    with pytest.raises(DataError, match="no reference"):
        pairs_in(tmp_path, tmp_path / "none")


def test_dots_stay_in_a_name() -> None:
    assert (stem_of("1.2.3.nii.gz"), stem_of("1.2.MHA"), stem_of("a.txt")) == ("1.2.3", "1.2", None)
    assert (stem_of("a.dcm"), stem_of("a.dcm", True)) == (None, "a")
