"""Fields as NIfTI: what `test_files.py` does not say of them."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import ConfigError, DataError
from medmamba.register.grid import Grid
from medmamba.register.transforms.nifti import (
    DISPVECT,
    VECTOR,
    from_voxels,
    grid_of,
    in_voxels,
    read_displacement,
    require_finite,
    write_displacement_nifti,
    write_learn2reg_nifti,
)
from medmamba.register.transforms.transform import Field, Transform
from tests.register.made import FIXED, MOVING, field, registration

INNER = np.random.default_rng(0).integers(0, np.array(FIXED.shape), (60, 3)).astype(float)
LPS = np.array([-1.0, -1.0, 1.0])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), one_grid=st.booleans())
def test_voxels_of_two_grids_and_back(seed: int, one_grid: bool) -> None:
    transform, moving = registration(seed), None if one_grid else MOVING
    voxels = in_voxels(transform, FIXED, moving)
    expected = (moving or FIXED).index(transform.points(FIXED.world(INNER))) - INNER
    found = voxels.displacement[tuple(INNER.astype(int).T)]
    assert np.allclose(found, expected, atol=1e-4)
    again = from_voxels(voxels.displacement, FIXED, moving, Path("d.npz"))
    assert np.allclose(again.points(FIXED.world(INNER)), transform.points(FIXED.world(INNER)), atol=1e-3)


def test_a_moving_grid_that_is_the_fixed_one_is_none() -> None:
    same = Grid(FIXED.shape, FIXED.affine.copy())
    assert in_voxels(Transform((field(),)), FIXED, same).displacement is not None
    assert len(from_voxels(field().displacement, FIXED, same, Path("d.npz")).parts) == 1
    assert len(from_voxels(field().displacement, FIXED, MOVING, Path("d.npz")).parts) == 2


@pytest.mark.parametrize("name", ["d.nii", "d.nii.gz"])
@pytest.mark.parametrize("intent", [VECTOR, DISPVECT])
def test_there_and_back(tmp_path: Path, name: str, intent: int) -> None:
    write_displacement_nifti(field(), tmp_path / name, intent)  # type: ignore[arg-type]
    (part,) = read_displacement(tmp_path / name).parts
    assert isinstance(part, Field) and part.displacement.dtype == np.float32
    assert part.grid.same_as(FIXED) and np.allclose(part.displacement, field().displacement, atol=1e-5)


def test_simpleitk_turns_ras_into_lps(tmp_path: Path) -> None:
    """Both intents are one field to it, and to nibabel their numbers differ by the two signs."""
    images, numbers = [], []
    for intent in (VECTOR, DISPVECT):
        path = tmp_path / f"{intent}.nii.gz"
        write_displacement_nifti(field(), path, intent)  # type: ignore[arg-type]
        images.append(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
        numbers.append(np.asarray(nibabel.load(path).dataobj)[:, :, :, 0])
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(numbers[0], numbers[1] * LPS) and np.abs(numbers[0] - numbers[1]).max() > 0.5
    assert np.array_equal(images[0].transpose(2, 1, 0, 3), numbers[0])


def test_a_field_of_whole_numbers_with_a_slope(tmp_path: Path) -> None:
    """As nibabel stores floats in int16: value = slope * number."""
    stored = nibabel.Nifti1Image(field().vectors()[:, :, :, None], FIXED.affine)
    stored.header.set_intent(VECTOR)
    stored.set_data_dtype(np.int16)
    nibabel.save(stored, tmp_path / "d.nii.gz")
    assert 0 < nibabel.load(tmp_path / "d.nii.gz").dataobj.slope < 0.01
    (part,) = read_displacement(tmp_path / "d.nii.gz").parts
    assert isinstance(part, Field) and np.allclose(part.displacement, field().displacement, atol=1e-3)


def test_learn2regs_voxels_belong_to_the_fixed_image_whatever_their_header_says(tmp_path: Path) -> None:
    write_learn2reg_nifti(field(Grid(FIXED.shape, np.eye(4))), tmp_path / "disp.nii.gz")
    assert nibabel.load(tmp_path / "disp.nii.gz").shape == (*FIXED.shape, 3)
    (own,) = read_displacement(tmp_path / "disp.nii.gz").parts
    (placed,) = read_displacement(tmp_path / "disp.nii.gz", FIXED).parts
    assert isinstance(own, Field) and isinstance(placed, Field)
    assert np.allclose(own.grid.affine, np.eye(4)) and placed.grid is FIXED
    assert np.array_equal(own.displacement, placed.displacement)


def changed(
    shape: tuple[int, ...], edit: Callable[[bytearray], None], dtype: type = np.float32
) -> Callable[[Path], None]:
    """A field of zeros whose bytes are edited."""

    def make(path: Path) -> None:
        stored = nibabel.Nifti1Image(np.zeros(shape, dtype), np.eye(4))
        stored.header.set_intent(VECTOR)
        nibabel.save(stored, path)
        content = bytearray(path.read_bytes())
        edit(content)
        path.write_bytes(content)

    return make


def flatten(content: bytearray) -> None:
    content[280:328] = bytes(48)  # srow_x, srow_y, srow_z


def blur(content: bytearray) -> None:
    content[280:284] = np.float32(np.nan).tobytes()


BAD: dict[str, tuple[str, Callable[[Path], None]]] = {
    "flat voxels": ("voxel size of zero", changed((4, 5, 6, 3), flatten)),
    "flat mm": ("voxel size of zero", changed((4, 5, 6, 1, 3), flatten)),
    "nowhere": ("affine that is not finite", changed((4, 5, 6, 1, 3), blur)),
    "no voxel": ("without a voxel: 0 x 5 x 6", changed((0, 5, 6, 1, 3), lambda content: None)),
    "complex": ("not finite numbers", changed((4, 5, 6, 1, 3), lambda content: None, np.complex64)),
    "cut": ("truncated", changed((4, 5, 6, 1, 3), lambda content: content.__delitem__(slice(-40, None)))),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_field(tmp_path: Path, name: str) -> None:
    words, make = BAD[name]
    make(tmp_path / "d.nii")
    with pytest.raises(DataError, match=words) as caught:
        read_displacement(tmp_path / "d.nii")
    assert "d.nii" in caught.value.problem and caught.value.remedy


@pytest.mark.parametrize("name", ["d.nrrd", "d", "d.nii.bz2", "D.NII", "d.Nii.gz"])
def test_other_endings_are_not_written(tmp_path: Path, name: str) -> None:
    for write in (write_displacement_nifti, write_learn2reg_nifti):
        with pytest.raises(ConfigError, match="no ending of NIfTI"):
            write(field(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_numbers_that_a_field_cannot_hold() -> None:
    good = np.zeros((2, 2, 2, 3))
    assert require_finite(good, Path("d.npz")) is good
    for value in (np.nan, -np.inf, 1e300):  # the last is infinite as float32
        bad = good.copy()
        bad[1, 0, 1, 2] = value
        with pytest.raises(DataError, match=r"d\.npz holds displacements that are not finite"):
            require_finite(bad, Path("d.npz"))
    with pytest.raises(DataError, match="not finite numbers"):
        require_finite(good.astype(str), Path("d.npz"))


def test_a_grid_takes_any_numbers_for_its_affine() -> None:
    found = grid_of((2, 3, 4), np.diag([2, 2, 3, 1]), Path("d.npz"))
    assert found.affine.dtype == np.float64 and found.spacing == (2, 2, 3)
