import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba.data.integrity import check_complete, check_image, reading
from medmamba.errors import DataError
from tests.data import bad


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
    with pytest.raises(DataError, match=r"short\.nii\.gz cannot be used: truncated file"):
        check_complete(short)


def test_a_flipped_byte_and_a_missing_file_are_named(whole: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 255
    whole.write_bytes(content)
    with pytest.raises(DataError, match=r"whole\.nii\.gz cannot be used: damaged file"):
        check_complete(whole)
    with pytest.raises(DataError, match=r"none\.nii\.gz cannot be used: file is missing"):
        check_complete(whole.with_name("none.nii.gz"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted(tmp_path: Path, value: float) -> None:
    values = np.zeros((3, 4, 5), np.float32)
    good, hole = tmp_path / "good.nii.gz", tmp_path / "hole.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), good)
    values[1, 2, 3] = value
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), hole)
    check_image(good)
    with pytest.raises(DataError, match=r"hole\.nii\.gz cannot be used: NaN or infinity. 1 voxel\(s\)"):
        check_image(hole)


def test_what_is_no_nifti_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.nii"
    path.write_text("no image at all, but long enough to hold a header" * 20)
    with pytest.raises(DataError, match=r"text\.nii cannot be used: not an image"):
        check_image(path)


def test_geometry_is_no_matter_here(tmp_path: Path) -> None:
    path, sheared = tmp_path / "sheared.nii.gz", np.eye(4)
    sheared[0, 1] = 0.3
    image = nibabel.Nifti1Image(np.zeros(bad.SHAPE, np.float32), sheared)
    image.set_qform(None, 0)
    nibabel.save(image, path)
    check_image(path)


@pytest.mark.parametrize(
    ("raised", "named"),
    [(ValueError("odd bytes"), "ValueError: odd bytes"), (MemoryError(), "more memory than there is")],
)
def test_whatever_a_reader_raises_names_the_file(raised: Exception, named: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"a\.nii cannot be used.*{named}"), reading(tmp_path / "a.nii"):
        raise raised


def test_what_names_its_file_already_comes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), reading(tmp_path / "a.nii"):
        raise FileNotFoundError("other")
