import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import DataError
from medmamba.evaluate import labels
from medmamba.evaluate.labels import read_labels, read_pair
from tests.evaluate.made_labels import save, small

DECLARED = (0, 1, 2, 7)
FOUR = small([0, 1, 7, 2])


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_values_become_places(tmp_path: Path, kind: type, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "_AT_ONCE", 3)
    places, grid = read_labels(save(tmp_path / f"a{ending}", FOUR.astype(kind), (1, 2, 3)), DECLARED)
    assert places.dtype == np.uint8 and places.ravel().tolist() == [0, 1, 3, 2]
    assert grid.shape == (2, 2, 1) and grid.spacing == (1, 2, 3)


def test_spacing_is_in_the_order_of_the_array(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), np.uint8), (0.5, 2, 4))
    places, _, spacing = read_pair(path, path, DECLARED)
    assert (places.shape, spacing) == ((3, 4, 5), (4, 2, 0.5))


def test_scaled_values_are_what_they_stand_for(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.array([0, 2, 4, 14], np.int16))
    content = bytearray(path.read_bytes())
    content[112:116] = struct.pack("<f", 0.5)  # scl_slope
    path.write_bytes(content)
    assert read_labels(path, DECLARED)[0].ravel().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("values", "shown"), [([0, 1, 3, 9], "3, 9"), ([0.0, 1.5, 1, 1], "1.5"), ([-1, 0, 0, 0], "-1"), ([8, 0, 0, 0], "8")]
)
def test_undeclared_values_are_named(tmp_path: Path, values: list[float], shown: str) -> None:
    array = np.array(values, np.float32 if any(v % 1 for v in values) else np.int16)
    with pytest.raises(DataError) as caught:
        read_labels(save(tmp_path / "a.nii.gz", array), DECLARED)
    assert f"a.nii.gz holds {shown}, which" in caught.value.problem and "0, 1, 2, 7" in caught.value.problem


def test_pictures_have_pixels(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.array([[0, 1, 2], [7, 0, 1]], np.uint8)), str(tmp_path / "a.png"))
    places, _, spacing = read_pair(tmp_path / "a.png", tmp_path / "a.png", DECLARED)
    assert places.tolist() == [[0, 1, 2], [3, 0, 1]] and spacing == (1, 1)
    colours = sitk.GetImageFromArray(np.zeros((4, 5, 3), np.uint8), isVector=True)
    sitk.WriteImage(colours, str(tmp_path / "b.png"))
    with pytest.raises(DataError, match=r"b\.png cannot be used"):
        read_labels(tmp_path / "b.png", DECLARED)


@pytest.mark.parametrize(
    ("values", "spacing", "origin", "match"),
    [
        (small([0] * 6), (1, 1, 1), 0, "voxels"),
        (small([0] * 4), (1, 1, 1.01), 0, "one grid: spacing"),
        (small([0] * 4), (1, 1, 1), 0.2, "one grid: origin"),
    ],
)
def test_geometry_must_agree(
    tmp_path: Path, values: np.ndarray, spacing: tuple[float, ...], origin: float, match: str
) -> None:
    paths = save(tmp_path / "p.nii.gz", values, spacing, origin), save(tmp_path / "r.nii.gz", small([0] * 4))
    with pytest.raises(DataError, match=match) as caught:
        read_pair(*paths, DECLARED)
    assert all(str(path) in caught.value.problem for path in paths)


def test_turned_axes_are_no_agreement(tmp_path: Path) -> None:
    paths = [save(tmp_path / name, FOUR) for name in ("p.nii.gz", "r.nii.gz")]
    turned = sitk.ReadImage(str(paths[0]))
    turned.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(turned, str(paths[0]))
    with pytest.raises(DataError, match="axes"):
        read_pair(*paths, DECLARED)


def test_rounding_of_geometry_is_forgiven(tmp_path: Path) -> None:
    paths = save(tmp_path / "p.nii.gz", FOUR, (1, 1, 1.0001), 0.001), save(tmp_path / "r.nii.gz", FOUR)
    assert read_pair(*paths, DECLARED)[2] == (1, 1, 1)


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "absent", "folder"])
def test_damaged_files_are_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.nii.gz"
    if kind == "truncated":
        save(path, np.random.default_rng(0).integers(0, 2, (9, 9, 9)).astype(np.uint8))
        path.write_bytes(path.read_bytes()[:-20])
    elif kind == "folder":
        path.mkdir()
    elif kind != "absent":
        path.write_bytes(gzip.compress(b"no image") if kind == "text" else b"")
    with pytest.raises(DataError, match=r"a\.nii\.gz cannot be used"):
        read_labels(path, DECLARED)


def segmentation(folder: Path, names: dict[int, str]) -> tuple[Path, np.ndarray, np.ndarray]:
    """A DICOM segmentation of an oblique series, its label map and the affine to the right, anterior, superior."""
    pytest.importorskip("highdicom")
    from medmamba.dicom.codes import segments
    from medmamba.dicom.writing import Algorithm, write_segmentation
    from medmamba.predict.files.dicom import find_series
    from tests.dicom import made

    series = made.write_series(folder / "series")
    truth = made.label_map(labels=3)
    values = np.array([0, *names], np.uint8)[truth]
    files = find_series(series).files
    write_segmentation(folder / "c.dcm", values, files, segments(names, {}), Algorithm("a", "sha256:00"))
    return folder / "c.dcm", values, made.OBLIQUE


def reference(path: Path, values: np.ndarray, matrix: np.ndarray) -> Path:
    """The same label map as NIfTI."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values).T, matrix), path)
    return path


@pytest.mark.parametrize("asked", [{"shell": 1, "core": 2, "rim": 7}, {"rim": 7, "shell": 1, "core": 2, "more": 9}])
def test_segmentations_lie_on_the_references_grid(tmp_path: Path, asked: dict[str, int]) -> None:
    names = {1: "shell", 2: "core", 7: "rim"}
    file, values, matrix = segmentation(tmp_path, names)
    truth = reference(tmp_path / "c.nii.gz", values, matrix)
    found, there, spacing = read_pair(file, truth, DECLARED, asked)
    assert np.array_equal(found, there) and found.max() == 3
    assert spacing == pytest.approx((3.0, 1.25, 0.8))
    turned = reference(tmp_path / "t.nii.gz", values[::-1], matrix @ flip_z(len(values)))
    found, there, _ = read_pair(file, turned, DECLARED, asked)
    assert np.array_equal(found, there)


def flip_z(count: int) -> np.ndarray:
    """Slices counted from the other end."""
    matrix = np.diag([1.0, 1.0, -1.0, 1.0])
    matrix[2, 3] = count - 1
    return matrix


def test_segments_without_known_names_have_their_numbers(tmp_path: Path) -> None:
    file, values, matrix = segmentation(tmp_path, {1: "a", 2: "b", 3: "c"})
    truth = reference(tmp_path / "c.nii.gz", values, matrix)
    found, there, _ = read_pair(file, truth, (0, 1, 2, 3), {"shell": 1})
    assert np.array_equal(found, there)
    with pytest.raises(DataError, match=r"c\.dcm has the segment 'b', which the dataset does not declare"):
        read_pair(file, truth, (0, 1, 2, 3), {"a": 1})


def test_a_segmentation_elsewhere_is_refused(tmp_path: Path) -> None:
    file, values, matrix = segmentation(tmp_path, {1: "shell", 2: "core", 7: "rim"})
    moved = matrix.copy()
    moved[:3, 3] += 0.4 * matrix[:3, 0]
    for truth in (
        reference(tmp_path / "m.nii.gz", values, moved),
        reference(tmp_path / "s.nii.gz", values[:, :, :4], matrix),
        reference(tmp_path / "d.nii.gz", values, matrix @ np.diag([0.5, 1, 1, 1])),
    ):
        with pytest.raises(DataError, match=r"c\.dcm.* do not lie on one grid"):
            read_pair(file, truth, DECLARED)
    (tmp_path / "x.dcm").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"x\.dcm is no DICOM segmentation"):
        read_pair(tmp_path / "x.dcm", truth, DECLARED)
