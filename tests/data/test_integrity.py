import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba.data.integrity import check_complete, check_finite, faulty
from medmamba.errors import DataError


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "whole.nii.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 100))
    return path


def test_a_whole_file_and_other_formats_pass(whole: Path, tmp_path: Path) -> None:
    check_complete(whole)
    (tmp_path / "image.mha").write_bytes(b"anything")
    check_complete(tmp_path / "image.mha")


def test_a_truncated_file_is_named(whole: Path) -> None:
    short = whole.with_name("short.nii.gz")
    short.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"short\.nii\.gz is truncated"):
        check_complete(short)


def test_a_flipped_byte_and_a_missing_file_are_named(whole: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 255
    whole.write_bytes(content)
    with pytest.raises(DataError, match=r"whole\.nii\.gz is truncated or damaged"):
        check_complete(whole)
    with pytest.raises(DataError, match="does not exist"):
        check_complete(whole.with_name("none.nii.gz"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted(tmp_path: Path, bad: float) -> None:
    values = np.zeros((3, 4, 5), np.float32)
    good, hole = tmp_path / "good.nii.gz", tmp_path / "hole.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), good)
    values[1, 2, 3] = bad
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), hole)
    with pytest.raises(DataError, match=r"hole\.nii\.gz has 1 voxel\(s\) that are NaN or infinite"):
        check_finite(hole)
    assert len(faulty([good, hole], workers=2)) == 1


def test_what_is_no_nifti_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.nii"
    path.write_text("no image")
    with pytest.raises(DataError, match=r"text\.nii cannot be read as NIfTI"):
        check_finite(path)
