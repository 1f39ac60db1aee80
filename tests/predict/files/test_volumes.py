"""One channel from a file: voxels, grid and what is refused before memory is taken for it."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import DataError
from medmamba.predict.files import volumes
from tests.predict.made_images import ORIENTATIONS, affine, itk_image, save, save_series, voxels


@settings(max_examples=30, deadline=None)
@given(orientation=st.sampled_from(ORIENTATIONS), turn=st.sampled_from([(0, 0, 0), (3.0, -28.0, 11.0)]))
def test_all_readers_agree_where_a_voxel_lies(
    tmp_path_factory: pytest.TempPathFactory, orientation: tuple, turn: tuple[float, ...]
) -> None:
    folder = tmp_path_factory.mktemp("v")
    matrix = affine(turn=turn, axes=orientation[0], signs=orientation[1])
    nifti = save(folder / "a.nii", matrix=matrix)
    sitk.WriteImage(itk_image(voxels(), matrix), str(folder / "a.nrrd"))
    found = [volumes.load(nifti, "nibabel"), volumes.load(nifti, "itk"), volumes.load(folder / "a.nrrd", "itk")]
    for volume in found:
        assert np.array_equal(volume.voxels, voxels().T)
        np.testing.assert_allclose(volume.affine, matrix, atol=1e-4)
        np.testing.assert_allclose(volumes.affine_of(volume.grid), matrix, atol=1e-4)
        assert volume.zooms == pytest.approx((0.8, 1.25, 3.0), rel=1e-5)


def test_a_series_is_stacked_along_its_normal(tmp_path: Path) -> None:
    volume = volumes.load(save_series(tmp_path / "s", voxels()), "itk", dicom=True)
    to_stored = np.linalg.inv(affine()) @ volume.affine  # index (x, y, z) here -> index in the array that was saved
    z, y, x = np.indices(volume.voxels.shape)
    ones = np.ones_like(x)
    places = np.rint(to_stored[:3] @ np.stack([x, y, z, ones]).reshape(4, -1)).astype(int)
    assert np.array_equal(voxels()[tuple(places)], volume.voxels.ravel())


def test_slope_and_intercept_stay_apart_from_the_voxels(tmp_path: Path) -> None:
    volume = volumes.load(save(tmp_path / "a.nii.gz", scl_slope=2.5, scl_inter=-3), "nibabel")
    assert volume.voxels.dtype == np.int16 and volume.scale == pytest.approx((2.5, -3))


def test_spacings_that_differ_a_little_are_told_and_a_lot_refused(tmp_path: Path) -> None:
    for name, factor in (("little", 1.005), ("lot", 1.2)):
        path = save(tmp_path / f"{name}.nii", forms=(0, 1))
        image = nibabel.load(path)
        image.header["pixdim"][1:4] *= factor
        (tmp_path / f"{name}.nii").write_bytes(image.header.binaryblock + path.read_bytes()[348:])
    assert "little.nii" in volumes.load(tmp_path / "little.nii", "nibabel").warnings[0]
    with pytest.raises(DataError, match=r"lot\.nii cannot be used"):
        volumes.load(tmp_path / "lot.nii", "nibabel")


def test_a_header_that_promises_more_than_there_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(itk_image(voxels(), affine()), str(path))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"sizes: 5 6 7", b"sizes: 5000 6000 7000"))
    with pytest.raises(DataError, match="promises 420000000000 bytes"):
        volumes.load(path, "itk")
    path.write_bytes(content)
    monkeypatch.setattr("medmamba.runtime.free_memory", lambda: 100)
    with pytest.raises(DataError, match="are free"):
        volumes.load(path, "itk")


def test_memory_that_does_not_suffice_is_the_files_failure_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.nii.gz")

    def full(*given: object) -> None:
        raise MemoryError

    monkeypatch.setattr("medmamba.predict.files.volumes.nifti.read", full)
    with pytest.raises(DataError, match="more memory than there is"):
        volumes.load(path, "itk")
