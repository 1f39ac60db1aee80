from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.check.nifti import read
from tests.data import bad


@pytest.fixture
def path(tmp_path: Path) -> Path:
    bad.save(tmp_path / "image.nii.gz", np.arange(960, dtype=np.int16).reshape(bad.SHAPE))
    return tmp_path / "image.nii.gz"


def as_itk(path: Path) -> np.ndarray:
    """Index to place by ITK, in nibabel's axes."""
    image = sitk.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ matrix


@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 1), (1, 2), (0, 0)])
@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_geometry_is_what_itk_takes(path: Path, codes: tuple[int, int], turn: float) -> None:
    image = nibabel.load(path)
    image.set_sform(bad.affine(), codes[0])
    image.set_qform(bad.affine() @ np.diag([turn, turn, 1, 1]), codes[1])  # they may disagree
    nibabel.save(nibabel.Nifti1Image(bad.stored(path), None, image.header), path)
    geometry = read(path).geometry
    assert geometry is not None
    assert np.allclose(geometry.matrix, as_itk(path)[:3, :3], atol=1e-6)
    assert np.allclose(geometry.origin, as_itk(path)[:3, 3], atol=1e-4)


def test_a_handedness_of_zero_is_one(path: Path) -> None:
    bad.header(path, pixdim=[0, *bad.SPACING, 0, 0, 0, 0])
    assert read(path).faults == []


def test_plain_nifti_is_read_whole_in_its_own_order(path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "image.nii"
    nibabel.save(nibabel.load(path), plain)
    assert np.array_equal(read(plain, "nibabel").voxels, bad.stored(path).ravel("F"))
    assert read(plain, "nibabel").shape == bad.SHAPE
