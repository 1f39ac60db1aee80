"""What the commands that apply transforms warn of; their results are tested where they are typed (tests/cli)."""

from pathlib import Path

import numpy as np
import pytest

from medmamba.errors import DataError
from medmamba.register import apply
from medmamba.register.grid import Grid
from medmamba.register.images import Volume, onto, read_image, write_image
from medmamba.register.transforms.itk import write_itk
from medmamba.register.transforms.transform import Transform
from tests.predict.made_images import save_series, voxels
from tests.register.made import FIXED, field, image, turn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fixed image, and a field and an affine map that start from it."""
    write_image(Volume(image(FIXED).data, FIXED), tmp_path / "fixed.nii.gz")
    write_itk(Transform((field(),)), tmp_path / "field.h5")
    write_itk(Transform((turn(),)), tmp_path / "affine.tfm")
    return tmp_path


def beside(folder: Path, rows: int) -> Path:
    """An image as large as the fixed one, `rows` voxels further along the first axis."""
    matrix = FIXED.affine.copy()
    matrix[:3, 3] = FIXED.world([rows, 0, 0])[0]
    write_image(Volume(image(FIXED).data, Grid(FIXED.shape, matrix)), folder / "beside.nii.gz")
    return folder / "beside.nii.gz"


def test_a_field_that_covers_little_is_told_of(folder: Path) -> None:
    told = apply.write_jacobian(folder / "field.h5", beside(folder, 12), folder / "j.nii.gz")
    (warning,) = told["warnings"]
    assert "its field covers 29 %" in warning
    assert apply.write_jacobian(folder / "field.h5", folder / "fixed.nii.gz", folder / "j.nii.gz")["warnings"] == []


def test_a_field_of_another_image_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="covers no voxel"):
        apply.write_jacobian(folder / "field.h5", beside(folder, 40), folder / "j.nii.gz")
    assert not (folder / "j.nii.gz").exists()


def test_an_affine_covers_everything(folder: Path) -> None:
    told = apply.write_jacobian(folder / "affine.tfm", beside(folder, 40), folder / "j.nii.gz")
    assert told["warnings"] == []
    assert np.isclose(told["determinant"]["mean"], np.linalg.det(turn().matrix), atol=1e-5)


def test_an_inverse_that_is_none_is_told_of(folder: Path) -> None:
    write_itk(Transform((field(most=30),)), folder / "folded.h5")
    fixed = folder / "fixed.nii.gz"
    for name, many in (("folded.h5", 1), ("field.h5", 0)):
        told = apply.warp(folder / name, fixed, fixed, folder / "w.nii.gz", inverse=True)
        assert len([text for text in told["warnings"] if "found by iteration" in text]) == many
        assert (told["inverse_residual_mm"]["p95"] > 0.5 * min(FIXED.spacing)) == bool(many)


def test_a_dicom_series_is_warped(folder: Path) -> None:
    series = read_image(save_series(folder / "series", voxels((9, 8, 7)), FIXED.affine))
    write_itk(Transform(()), folder / "still.tfm")
    told = apply.warp(folder / "still.tfm", folder / "series", folder / "fixed.nii.gz", folder / "w.nii.gz")
    assert told["dtype"] == series.data.dtype.name
    wanted = onto(series, FIXED, outside=float(series.data.min()))
    assert np.abs(read_image(folder / "w.nii.gz").data - wanted).max() <= 1
