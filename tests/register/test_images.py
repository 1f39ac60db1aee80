"""Images in and out: what is read as it is, and what is refused in a sentence."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.register.grid import Grid
from medmamba.register.images import Volume, onto, read_image, read_labels, read_mask, write_image
from tests.predict.made_images import affine, itk_image, save, save_series, voxels
from tests.register.made import FIXED, MOVING, image, labels


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_what_is_written_is_read(tmp_path: Path, ending: str, dtype: type) -> None:
    before = Volume(voxels(FIXED.shape, dtype), FIXED)
    write_image(before, tmp_path / f"image{ending}")
    after = read_image(tmp_path / f"image{ending}")
    assert after.data.dtype == dtype
    assert np.array_equal(after.data, before.data)
    assert after.grid.same_as(FIXED)
    assert [path.name for path in tmp_path.iterdir()] == [f"image{ending}"]


@pytest.mark.parametrize("name", ["image.nii.gz", "image.mha"])
def test_simpleitk_and_nibabel_see_the_same_place(tmp_path: Path, name: str) -> None:
    write_image(Volume(voxels(MOVING.shape), MOVING), tmp_path / name)
    theirs = sitk.ReadImage(str(tmp_path / name))
    assert Grid.of(theirs).same_as(MOVING)
    assert np.array_equal(sitk.GetArrayFromImage(theirs).T, voxels(MOVING.shape))
    if name.endswith(".gz"):
        assert np.allclose(nibabel.load(tmp_path / name).affine, MOVING.affine, atol=1e-4)


def test_dicom_nrrd_and_nifti_of_one_image_are_one(tmp_path: Path) -> None:
    matrix = affine(turn=(10, 5, 20))
    save(tmp_path / "a.nii", voxels(), matrix)
    sitk.WriteImage(itk_image(voxels(), matrix), str(tmp_path / "a.nrrd"))
    save_series(tmp_path / "series", voxels(), matrix)
    first, *others = (read_image(tmp_path / name) for name in ("a.nii", "a.nrrd", "series"))
    for other in others:
        canonical = first.grid.canonical()
        assert other.grid.canonical().same_as(canonical)
        assert np.allclose(onto(other, canonical), onto(first, canonical), atol=0.01)


def test_a_nifti_2_is_read(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(voxels(), affine()), tmp_path / "two.nii.gz")
    assert np.array_equal(read_image(tmp_path / "two.nii.gz").data, voxels())


def test_scaled_numbers_are_scaled(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", voxels(), scl_slope=0.5, scl_inter=-100)
    read = read_image(tmp_path / "a.nii")
    assert read.data.dtype == np.float32
    assert np.array_equal(read.data, (voxels() * 0.5 - 100).astype(np.float32))


def test_headers_are_told_of(tmp_path: Path) -> None:
    assert read_image(save(tmp_path / "good.nii")).warnings == ()
    (hand,) = read_image(save(tmp_path / "left.nii", matrix=affine(signs=(-1, 1, 1)))).warnings
    assert "left hand" in hand
    path = save(tmp_path / "forms.nii", qoffset_x=40)
    (forms,) = read_image(path).warnings
    assert "sform and qform disagree" in forms
    assert str(path) in forms


def other(path: Path, array: np.ndarray) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "gone.nii.gz": ("is not there", lambda path: None),
    "empty.nii.gz": ("0 bytes", lambda path: path.write_bytes(b"")),
    "text.txt": ("no ending of an image", lambda path: path.write_text("hello")),
    "page.nii.gz": ("web page", lambda path: path.write_text("<!doctype html>")),
    "cut.nii": ("promises", lambda path: path.write_bytes(save(path).read_bytes()[:-100])),
    "flat.nii.gz": ("no volume: it has 6 x 9 voxels", lambda path: other(path, voxels((9, 6)))),
    "slice.nii.gz": ("no volume: it has 5 x 6 x 1", lambda path: save(path, voxels((5, 6, 1)))),
    "four.nii.gz": ("four axes", lambda path: save(path, voxels((5, 6, 7, 2)))),
    "field.nii.gz": ("dimensions", lambda path: save(path, voxels((5, 6, 7, 1, 3)))),
    "colour.mha": ("3 numbers a voxel", lambda path: sitk.WriteImage(
        sitk.GetImageFromArray(voxels((6, 7, 5, 3)), isVector=True), str(path))),
    "nan.nii.gz": ("1 voxel.s. that are NaN", lambda path: save(path, np.pad(np.full((1, 1, 1), np.nan), 2))),
    "zero.nii.gz": ("spacing", lambda path: save(path, pixdim=[1, 0.8, 0, 3, 0, 0, 0, 0])),
    "huge.nii.gz": ("has voxels of 0.8 x 1.25 x 999", lambda path: save(path, matrix=affine((0.8, 1.25, 999)))),
    "tiny.nii.gz": ("has voxels of", lambda path: save(path, matrix=affine((1e-4, 1e-4, 1e-4)))),
    "shear.nii.gz": ("right angle", lambda path: save(path, forms=(0, 1), srow_x=[0.8, 0.4, 0, 0])),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    match, make = BAD[name]
    make(tmp_path / name)
    with pytest.raises(DataError, match=f"(?i){match}") as caught:
        read_image(tmp_path / name)
    assert name in caught.value.problem
    assert caught.value.remedy
    assert "nnU-Net" not in str(caught.value)


def test_labels_are_whole_numbers(tmp_path: Path) -> None:
    write_image(Volume(labels().data.astype(np.float32), MOVING), tmp_path / "whole.nii.gz")
    assert read_labels(tmp_path / "whole.nii.gz").data.dtype == np.uint8
    assert np.array_equal(read_labels(tmp_path / "whole.nii.gz").data, labels().data)
    save(tmp_path / "long.nii", voxels(dtype=np.int64) % 70000)
    assert read_labels(tmp_path / "long.nii").data.dtype == np.int32
    write_image(image(), tmp_path / "image.nii.gz")
    with pytest.raises(DataError, match=r"no label map: .* fractions"):
        read_labels(tmp_path / "image.nii.gz")
    save(tmp_path / "large.nii", np.full((3, 3, 3), 2.0**40, np.float32))
    with pytest.raises(DataError, match="holds 1099511627776"):
        read_labels(tmp_path / "large.nii")


def test_masks_are_ones_and_never_empty(tmp_path: Path) -> None:
    write_image(labels(), tmp_path / "labels.nii.gz")
    assert np.array_equal(read_mask(tmp_path / "labels.nii.gz").data, labels().data > 0)
    write_image(Volume(labels().data * 0, MOVING), tmp_path / "none.nii.gz")
    with pytest.raises(DataError, match="empty mask"):
        read_mask(tmp_path / "none.nii.gz")


def test_onto_is_geometry_alone() -> None:
    assert np.allclose(onto(image(), MOVING), image().data, atol=1e-3)
    turned = onto(labels(), MOVING.canonical(), "nearest")
    assert turned.dtype == np.uint8
    assert np.array_equal(np.bincount(turned.ravel()), np.bincount(labels().data.ravel()))
    away = Grid(FIXED.shape, FIXED.affine + np.array([[0, 0, 0, 900], *np.zeros((3, 4))]))
    assert (onto(image(), away, outside=-5) == -5).all()


def test_an_image_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ending of an image"):
        write_image(image(), tmp_path / "image.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="could not be written"):
        write_image(image(), tmp_path / "file" / "image.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_real_images_lie_where_simpleitk_and_nibabel_put_them(shared_data: Path) -> None:
    paths = sorted((shared_data / "registration").rglob("*.nii.gz"))
    assert paths
    for path in paths:
        read = read_image(path)
        theirs = sitk.ReadImage(str(path))
        assert Grid.of(theirs).same_as(read.grid)
        assert np.allclose(nibabel.load(path).affine, read.grid.affine, atol=1e-3)
        assert np.array_equal(sitk.GetArrayFromImage(theirs).T, read.data)
