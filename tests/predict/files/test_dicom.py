import locale
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import DataError
from medmamba.predict.files.dicom import find_series, holds_dicom, read_series
from tests.predict.made_images import affine, save_series, voxels


@pytest.mark.parametrize(
    "matrix",
    [
        affine(),
        affine(axes=(1, 2, 0), signs=(-1, 1, 1)),
        affine(turn=(20, -15, 40)),
        affine((0.7, 0.9, 0.9), (0, 0, 5)),
    ],
    ids=["anisotropic", "sagittal", "oblique", "oblong pixels"],
)
def test_slices_come_in_the_order_of_their_places(tmp_path: Path, matrix: np.ndarray) -> None:
    array = voxels()
    series = find_series(save_series(tmp_path, array, matrix))
    image = read_series(series)
    flip = np.diag([-1.0, -1.0, 1.0])
    for index in ((0, 0, 0), (4, 5, 6), (1, 4, 3)):
        place = flip @ (matrix @ [*index, 1])[:3]
        assert image[image.TransformPhysicalPointToIndex(place.tolist())] == array[index]
    assert series.shape == array.shape == image.GetSize()
    assert np.allclose(series.spacing, image.GetSpacing(), rtol=1e-6)


def tag(name: str, text: str, at: int = 3):
    """Change a tag of one slice."""
    return lambda number, part: part.SetMetaData(name, text) if number == at else None


def shifted(lateral: float):
    """Move each slice sideways against the one before, as a tilted gantry does."""

    def change(number: int, part: sitk.Image) -> None:
        x, y, z = map(float, part.GetMetaData("0020|0032").split("\\"))
        part.SetMetaData("0020|0032", f"{x:.8g}\\{y + lateral * number:.8g}\\{z:.8g}")

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (tag("skip", "1"), "has slices missing or unevenly apart: 6 mm between"),
        (tag("0020|0032", "31.25\\-17.5\\405.125"), "has two slices at one place"),
        (tag("0020|0037", "0\\1\\0\\1\\0\\0"), "has slices of several orientations"),
        (shifted(1.0), r"was taken with a tilted gantry \(18.4 degrees\)"),
        (tag("0020|0052", "7.7.7"), "has slices of several frames of reference: .* and .* cannot be compared"),
        (tag("0020|000e", "9.9.9"), "holds 2 DICOM series: .*(CT).* Put each into a folder of its own"),
    ],
    ids=["a slice is missing", "double", "turned", "tilted", "frames of reference", "two series"],
)
def test_what_is_no_regular_volume_is_refused(tmp_path: Path, change, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        find_series(save_series(tmp_path, change=change))


def test_slices_without_a_place_are_refused(tmp_path: Path) -> None:
    for path in save_series(tmp_path).iterdir():
        path.write_bytes(path.read_bytes().replace(b"\x20\x00\x32\x00", b"\x20\x00\x33\x00", 1))
    with pytest.raises(DataError, match="has no image position"):
        find_series(tmp_path)


def test_slices_of_several_sizes_are_refused(tmp_path: Path) -> None:
    save_series(tmp_path)
    small = voxels((4, 6, 1))
    save_series(tmp_path, small, affine(origin=(-31.25, 17.5, 423.125)), names=lambda number: "x.dcm")
    with pytest.raises(DataError, match="has slices of several sizes"):
        find_series(tmp_path)


def test_rounded_positions_are_taken_for_even_and_told(tmp_path: Path) -> None:
    def rounded(number: int, part: sitk.Image) -> None:
        place = [round(float(one), 1) for one in part.GetMetaData("0020|0032").split("\\")]
        part.SetMetaData("0020|0032", "\\".join(map(str, place)))

    series = find_series(save_series(tmp_path, matrix=affine((0.8, 0.8, 1.25)), change=rounded))
    assert "slice positions are rounded" in series.warnings[0]
    assert series.spacing[2] == pytest.approx(1.25, abs=0.02)
    assert np.array_equal(sitk.GetArrayFromImage(read_series(series)), voxels().T)


def test_slices_with_scales_of_their_own_keep_their_fractions(tmp_path: Path) -> None:
    def scaled(number: int, part: sitk.Image) -> None:
        part.SetMetaData("0028|1052", "0")
        part.SetMetaData("0028|1053", "1")

    array = voxels()
    for path in save_series(tmp_path, array, change=scaled).iterdir():
        if path.name != "000.dcm":  # the first slice: ITK takes the type of all from it
            content = bytearray(path.read_bytes())
            value = content.index(b"1 ", content.index(b"\x28\x00\x53\x10"))
            content[value : value + 2] = b".5"
            path.write_bytes(content)
    image = sitk.GetArrayFromImage(read_series(find_series(tmp_path)))
    assert np.array_equal(image, array.T * np.array([1, *[0.5] * 6])[:, None, None])


def test_one_slice_is_told(tmp_path: Path) -> None:
    series = find_series(save_series(tmp_path, voxels((5, 6, 1))))
    assert "holds one slice" in series.warnings[0]
    assert read_series(series).GetSize() == series.shape == (5, 6, 1)


@pytest.mark.parametrize("keep", [0.5, 0.95])
@pytest.mark.parametrize("name", ["000.dcm", "027.dcm", "081.dcm"])
def test_a_damaged_slice_is_not_left_out(tmp_path: Path, name: str, keep: float) -> None:
    path = save_series(tmp_path, voxels((30, 30, 7))) / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match=r"slice of the series that cannot be read|pixels cannot be decoded"):
        read_series(find_series(tmp_path))


def test_files_without_an_image_are_told(tmp_path: Path) -> None:
    (save_series(tmp_path) / "report.dcm").write_bytes(bytes(128) + b"DICM" + bytes(100))
    assert "1 DICOM file(s) without an image were passed over: report.dcm" in find_series(tmp_path).warnings[0]


@pytest.mark.parametrize(
    ("array", "sentence"),
    [(voxels((5, 6, 7), np.uint8), r"multi-frame DICOM file \(7 frames\)"), (voxels((5, 6, 3), np.uint8), "in colour")],
)
def test_frames_and_colours_are_refused(tmp_path: Path, array: np.ndarray, sentence: str) -> None:
    image = sitk.GetImageFromArray(array.T if array.shape[2] > 3 else array, isVector=array.shape[2] == 3)
    sitk.WriteImage(image, str(tmp_path / "a.dcm"))
    with pytest.raises(DataError, match=sentence):
        find_series(tmp_path)


def test_reports_beside_the_slices_are_no_series(tmp_path: Path) -> None:
    save_series(tmp_path)
    save_series(
        tmp_path,
        voxels((4, 4, 1)),
        uid="5.5",
        change=lambda _, part: part.SetMetaData("0008|0060", "SEG"),
        names=lambda number: "seg.dcm",
    )
    assert len(find_series(tmp_path).files) == 7


def test_dicom_is_known_by_its_mark_not_its_name(tmp_path: Path) -> None:
    inner = sorted(save_series(tmp_path / "a").iterdir())[0].rename(tmp_path / "IM0001")
    (tmp_path / "notes").write_text("none")
    assert holds_dicom([tmp_path / "notes", inner])
    assert not holds_dicom([tmp_path / "notes", tmp_path / "a"])


def test_real_series(shared_data: Path) -> None:
    body = find_series(shared_data / "dicom" / "ct_body_20slices")
    image = read_series(body)
    truth = sitk.ReadImage(str(shared_data / "dicom" / "ct_body_20slices_seg.nii.gz"))
    assert (body.shape, body.spacing) == ((512, 512, 20), (0.9765625, 0.9765625, 2.0))
    low, high = (image.TransformIndexToPhysicalPoint(corner) for corner in ((0, 0, 0), (511, 511, 19)))
    corners = [truth.TransformIndexToPhysicalPoint(corner) for corner in ((0, 0, 0), (511, 511, 19), (0, 511, 0))]
    assert np.allclose(sorted([low[2], high[2]]), sorted([corners[0][2], corners[1][2]]), atol=1e-3)
    assert sitk.GetArrayViewFromImage(image).min() <= -1000
    with pytest.raises(DataError, match="slices missing"):
        find_series(shared_data / "dicom" / "ct_nonuniform_4slices")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_a_slice_whose_name_ends_gdcm_is_refused(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.dcm").write_bytes(b"")
    with pytest.raises(DataError, match="is not UTF-8"):
        find_series(tmp_path)


def test_the_locale_of_the_process_stays(tmp_path: Path) -> None:
    folder = save_series(tmp_path, voxels(), affine())
    locale.setlocale(locale.LC_ALL, "C.UTF-8")  # writing has changed it, too
    read_series(find_series(folder))
    assert locale.setlocale(locale.LC_CTYPE) == "C.UTF-8"
