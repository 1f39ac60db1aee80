import base64
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medmamba.errors import DataError
from medmamba.report.volumes import as_nifti, read_labels, read_volume
from tests.report.made import save

CODES = st.permutations(range(3)).flatmap(
    lambda order: st.tuples(*(st.booleans() for _ in order)).map(
        lambda flips: "".join(("LPI" if flip else "RAS")[axis] for axis, flip in zip(order, flips, strict=True))
    )
)


@settings(max_examples=12, deadline=None)
@given(codes=CODES)
def test_every_orientation_becomes_right_anterior_superior(
    codes: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    turn = nibabel.orientations.axcodes2ornt(tuple(codes))
    affine = np.diag([1.0, 2.0, 3.0, 1.0]) @ nibabel.orientations.inv_ornt_aff(turn, (3, 4, 5))
    straight = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    stored = nibabel.orientations.apply_orientation(
        straight, nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), turn)
    )
    path = tmp_path_factory.mktemp("turned") / "a.nii"
    nibabel.save(nibabel.Nifti1Image(stored, _matching(stored.shape, affine, turn)), path)
    found = read_volume(path)
    assert nibabel.aff2axcodes(found.affine) == ("R", "A", "S")
    assert np.array_equal(found.voxels, straight)


def _matching(shape: tuple[int, ...], affine: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """An affine with the axes of `turn` and edges of 1, 2, 3 mm along right, anterior, superior."""
    found = np.eye(4)
    found[:3, :3] = 0
    for axis, (world, sign) in enumerate(turn):
        found[int(world), axis] = sign * (1, 2, 3)[int(world)]
    return found


def test_spacing_and_fit(tmp_path: Path) -> None:
    one = read_volume(save(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), np.int16), (1, 2, 3)))
    assert one.size == (5, 4, 3) and one.spacing == pytest.approx((1, 2, 3)) and one.placed and not one.flat
    other = read_volume(save(tmp_path / "b.nii.gz", np.zeros((3, 4, 5), np.int16), (1, 2, 4)))
    assert one.fits(one) and not one.fits(other)


def test_a_picture_is_one_slice_shown_as_it_is(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_volume(tmp_path / "a.png")
    assert found.flat and not found.placed and found.size == (4, 3, 1)
    assert np.array_equal(found.voxels[..., 0].T[::-1, ::-1], pixels)
    Image.fromarray(np.dstack([pixels] * 3)).save(tmp_path / "c.png")
    assert read_volume(tmp_path / "c.png").voxels.shape == (4, 3, 1, 3)
    with pytest.raises(DataError, match="colour"):
        read_labels(tmp_path / "c.png")


def test_a_flat_nifti(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((3, 4), np.int16), (0.5, 2))
    found = read_volume(path)
    assert found.flat and found.size == (4, 3, 1) and found.spacing[:2] == pytest.approx((0.5, 2))


def test_fractions_are_no_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.nii\.gz"):
        read_labels(save(tmp_path / "a.nii.gz", np.full((2, 2, 2), 0.5, np.float32)))
    found = read_labels(save(tmp_path / "b.nii.gz", np.full((2, 2, 2), 3, np.float32)))
    assert found.voxels.dtype == np.int32 and (found.voxels == 3).all()


def test_the_nifti_of_the_page_has_affine_and_spacing_only() -> None:
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    content = gzip.decompress(base64.b64decode(as_nifti(np.ones((2, 3, 4), np.uint8), affine)))
    image = nibabel.Nifti1Image.from_bytes(content)
    assert np.array_equal(image.affine, affine) and (np.asarray(image.dataobj) == 1).all()
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        assert bytes(image.header[field]).strip(b"\0") == b""
    assert not image.header.extensions
