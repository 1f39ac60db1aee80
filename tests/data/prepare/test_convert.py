import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.data.prepare.convert import convert
from medmamba.data.prepare.pictures import grey, interior_and_boundary, rgb, stretch
from medmamba.errors import DataError

OBLIQUE = np.array([[0, -1.25, 0, 5], [0.6, 0, -0.8, 7], [0.8, 0, 0.6, -3], [0, 0, 0, 1]])
"""Columns at right angles, but along no axis of the scanner."""
FREE = {"datatype", "bitpix", "cal_max", "cal_min", "scl_slope", "scl_inter"}
VALUES = {"values": [[0, 0], [1, 2], [2, 1], [4, 3]]}


def nifti(path: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE, slope: float | None = None) -> Path:
    image = nibabel.Nifti1Image(array, affine)
    image.set_qform(affine, 1)
    image.header["descrip"], image.header["intent_code"] = b"as it came", 1001
    image.header.set_xyzt_units("mm", "sec")
    if slope:
        image.header.set_slope_inter(slope, 3)
    nibabel.save(image, path)
    return path


def picture(path: Path, array: np.ndarray) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=array.ndim == 3), str(path))
    return path


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_remapped_label_keeps_every_field_that_says_where_it_is(tmp_path: Path, ending: str) -> None:
    source = nifti(tmp_path / f"in{ending}", np.array([0, 1, 2, 4] * 6, np.float32).reshape(2, 3, 4))
    convert("map", [source], [tmp_path / "out.nii.gz"], VALUES)
    before, after = nibabel.load(source), nibabel.load(tmp_path / "out.nii.gz")
    for key in set(before.header) - FREE:
        assert np.array_equal(before.header[key], after.header[key]), key
    assert np.array_equal(before.affine, after.affine) and after.get_data_dtype() == np.uint8
    assert np.asarray(after.dataobj).ravel().tolist() == [0, 2, 1, 3] * 6


def test_other_formats_keep_their_geometry(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.array([[[0, 1], [2, 4]]], np.uint8))
    image.SetSpacing((0.5, 2, 3))
    image.SetOrigin((-1, 2, 3.25))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "in.mha"))
    for action, options in (("map", VALUES), ("reformat", {})):
        convert(action, [tmp_path / "in.mha"], [tmp_path / "out.nii.gz"], options)
        after = sitk.ReadImage(str(tmp_path / "out.nii.gz"))
        assert after.GetSpacing() == image.GetSpacing() and after.GetOrigin() == image.GetOrigin()
        assert after.GetDirection() == image.GetDirection()


def test_packing_changes_no_byte(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "a.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4), slope=0.5)
    convert("reformat", [plain], [tmp_path / "b.nii.gz"], {})
    convert("reformat", [tmp_path / "b.nii.gz"], [tmp_path / "c.nii"], {})
    assert gzip.decompress((tmp_path / "b.nii.gz").read_bytes()) == plain.read_bytes()
    assert (tmp_path / "c.nii").read_bytes() == plain.read_bytes()
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "b.nii.gz").read_bytes()[:-5])
    with pytest.raises(DataError, match=r"b\.nii\.gz is truncated"):
        convert("reformat", [tmp_path / "b.nii.gz"], [tmp_path / "d.nii"], {})


def test_time_points_keep_stored_numbers_and_scaling(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 900, (3, 4, 5, 2)).astype(np.int16)
    source = nifti(tmp_path / "in.nii.gz", whole, slope=0.25)
    targets = [tmp_path / f"out_{time}.nii.gz" for time in range(2)]
    convert("time", [source], targets, {})
    for time, target in enumerate(targets):
        part, image = nibabel.load(target), nibabel.load(source)
        assert np.array_equal(part.affine, image.affine) and part.get_data_dtype() == np.int16
        assert (part.dataobj.slope, part.dataobj.inter) == (0.25, 3)
        assert np.array_equal(part.dataobj, np.asarray(image.dataobj)[..., time])
    with pytest.raises(DataError, match=r"has the shape 3x4x5x2, not four dimensions with 3"):
        convert("time", [source], [*targets, tmp_path / "x.nii.gz"], {})


def test_masks_are_painted_and_must_share_a_grid(tmp_path: Path) -> None:
    first, second = (nifti(tmp_path / f"{place}.nii.gz", np.eye(3, dtype=np.uint8)[None] * 9) for place in range(2))
    convert("masks", [first, second], [tmp_path / "out.nii.gz"], {"values": [3, 300], "threshold": 0})
    assert sorted(np.unique(read(tmp_path / "out.nii.gz"))) == [0, 300]
    nifti(second, np.eye(3, dtype=np.uint8)[None], OBLIQUE + np.eye(4)[3] * 0.01)
    with pytest.raises(DataError, match=r"1\.nii\.gz does not lie where 0\.nii\.gz lies"):
        convert("binary", [first, second], [tmp_path / "out.nii.gz"], {"threshold": 0})


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 2), (6, 7, 3), (6, 7, 4)])
def test_colours(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert rgb(pixels).shape == (6, 7, 3) and grey(pixels).shape == (6, 7)
    assert grey(rgb(grey(pixels))).tolist() == grey(pixels).tolist()


def test_a_picture_is_cropped_once(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    options = {"channels": 3, "crop": [4, 5, 20, 10], "intensity": "keep"}
    convert("picture", [picture(tmp_path / "a.bmp", pixels)], [tmp_path / "b.png"], options)
    assert np.array_equal(read(tmp_path / "b.png"), pixels[5:15, 4:24])
    convert("picture", [tmp_path / "b.png"], [tmp_path / "c.png"], options)
    assert np.array_equal(read(tmp_path / "c.png"), pixels[5:15, 4:24])
    with pytest.raises(DataError, match=r"d\.png is 22x12 pixels; the card cuts 20x10"):
        convert("picture", [picture(tmp_path / "d.png", pixels[:12, :22])], [tmp_path / "e.png"], options)


def test_more_than_8_bits(tmp_path: Path) -> None:
    wide = picture(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 60000, (20, 30)).astype(np.uint16))
    options: dict[str, Any] = {"channels": 1, "crop": None, "intensity": "keep"}
    with pytest.raises(DataError, match=r"a\.tif has uint16 pixels"):
        convert("picture", [wide], [tmp_path / "b.png"], options)
    convert("picture", [wide], [tmp_path / "b.png"], {**options, "intensity": "percentile"})
    assert read(tmp_path / "b.png").dtype == np.uint8 and np.ptp(read(tmp_path / "b.png")) == 255


def test_stretching_is_by_percentile_of_what_is_not_black() -> None:
    pixels = np.concatenate([np.zeros(500), np.arange(1, 1001)]).reshape(30, 50).astype(np.uint16)
    low, high = np.percentile(np.arange(1, 1001), (1, 99))
    assert np.array_equal(stretch(pixels), ((pixels - low) / (high - low) * 255).clip(0, 255).astype(np.uint8))
    assert not stretch(np.zeros((4, 4, 3), np.uint16)).any()


def test_a_coloured_label_is_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", np.eye(3, dtype=np.uint8)[:, :, None] * np.array([9, 0, 0], np.uint8))
    with pytest.raises(DataError, match="is a coloured picture"):
        convert("map", [path], [tmp_path / "b.png"], VALUES)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_cells_by_brute_force(seed: int) -> None:
    cells = np.random.default_rng(seed).integers(0, 4, (5, 6)).repeat(6, 0).repeat(7, 1)
    padded = np.pad(cells, 1, mode="edge")
    near = [padded[1 + y : padded.shape[0] - 1 + y, 1 + x : padded.shape[1] - 1 + x] for y, x in NEIGHBOURS]
    inner = np.logical_or.reduce([(other != cells) & (cells > 0) for other in near])
    wide = np.pad(inner, 1)
    boundary = np.logical_or.reduce(
        [wide[1 + y : wide.shape[0] - 1 + y, 1 + x : wide.shape[1] - 1 + x] for y, x in (*NEIGHBOURS, (0, 0))]
    )
    result = interior_and_boundary(cells)
    assert np.array_equal(result == 2, boundary)
    inside = (cells > 0) & ~boundary
    assert not (result[~inside] == 1).any()
    sizes = sitk.LabelShapeStatisticsImageFilter()
    sizes.Execute(sitk.ConnectedComponent(sitk.GetImageFromArray(inside.astype(np.uint8))))
    kept = [count for count in map(sizes.GetNumberOfPixels, sizes.GetLabels()) if count >= 16]
    assert (result == 1).sum() == sum(kept)


NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def test_clips(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 3)).astype(np.uint8)
    paths = [picture(tmp_path / f"{time}.png", frame) for time, frame in enumerate(frames)]
    targets = [tmp_path / f"clip_{channel:04d}.nii.gz" for channel in range(3)]
    convert("clip", paths, targets, {})
    assert all(np.array_equal(read(target), frames[..., channel]) for channel, target in enumerate(targets))
    picture(paths[1], frames[1, :4])
    with pytest.raises(DataError, match=r"1\.png is 6x4 pixels, 0\.png 6x5"):
        convert("clip", paths, targets, {})


@pytest.mark.parametrize("action", ["map", "binary", "reformat", "picture", "time"])
def test_what_is_no_image_is_named(tmp_path: Path, action: str) -> None:
    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"no image"))
    flat = action == "picture"
    source, target = tmp_path / ("a.png" if flat else "a.nii.gz"), tmp_path / ("b.png" if flat else "b.nii")
    options = {"threshold": 0, "channels": 1, "crop": None, "intensity": "keep", **VALUES}
    if action == "reformat":
        source, target = tmp_path / "a.png", tmp_path / "b.nii"
    with pytest.raises(DataError, match=rf"{source.name} (is no|cannot be read)"):
        convert(action, [source], [target], options)
