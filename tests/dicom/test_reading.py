"""There and back: label maps in the patient's space, on any grid of slices."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

from medmamba.dicom.codes import segments  # noqa: E402
from medmamba.dicom.reading import instance_uids, read_segmentation, sources  # noqa: E402
from medmamba.dicom.writing import Algorithm, write_segmentation  # noqa: E402
from medmamba.errors import DataError  # noqa: E402
from medmamba.predict.files.dicom import find_series, read_series  # noqa: E402
from tests.dicom.made import OBLIQUE, label_map, lps, write_series  # noqa: E402
from tests.predict.made_images import ORIENTATIONS, affine, voxels  # noqa: E402

NAMES = {1: "shell", 2: "core", 3: "rim"}


def written(folder: Path, series: Path, labels: np.ndarray, names: dict[int, str] = NAMES) -> Path:
    file = folder / "c.dcm"
    write_segmentation(file, labels, find_series(series).files, segments(names, {}), Algorithm("a", "sha256:00"))
    return file


def place_of(series: Path) -> np.ndarray:
    """The affine in which ITK reads a series."""
    image = read_series(find_series(series))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return matrix


@settings(max_examples=8, deadline=None)
@given(
    orientation=st.sampled_from([one for one in ORIENTATIONS if np.linalg.det(affine(axes=one[0], signs=one[1])) > 0]),
    turn=st.tuples(*[st.sampled_from([0.0, 3.3, -28.0])] * 3),
    spacing=st.tuples(*[st.sampled_from([0.4297, 1.0, 2.5, 7.0])] * 3),
    seed=st.integers(0, 9),
)
def test_label_maps_come_back_to_their_voxels(
    tmp_path_factory: pytest.TempPathFactory, orientation: Any, turn: Any, spacing: Any, seed: int
) -> None:
    """Exactly, on the grid in which the images are read, whatever the names of the files and the oblique angle."""
    folder, matrix = tmp_path_factory.mktemp("r"), affine(spacing, turn, *orientation)
    labels = label_map(seed=seed)
    series = write_series(folder / "series", matrix=matrix)
    volume = read_segmentation(written(folder, series, labels))
    assert np.array_equal(volume.on_grid(labels.shape, place_of(series)), labels)
    for value, name in NAMES.items():
        assert volume.names[value] == name
    truth = {tuple(index): labels[tuple(index)] for index in np.argwhere(labels)}
    where = volume.affine @ [*np.argwhere(volume.voxels)[:5, ::-1].T, np.ones(5)]
    back = np.linalg.inv(lps(matrix)) @ where
    assert np.abs(back - np.rint(back)).max() < 1e-5
    for index, value in zip(np.rint(back[:3]).astype(int).T, volume.voxels[volume.voxels > 0][:5], strict=True):
        assert truth[tuple(index[::-1])] == value


@pytest.mark.parametrize("name", ["mr_hippocrop_Study1", "mr_hippocrop_Study3"])
def test_real_series_there_and_back(shared_data: Path, tmp_path: Path, name: str) -> None:
    folder = shared_data / "dicom" / name
    labels = label_map(find_series(folder).shape, labels=2)
    labels[:4], labels[-3:] = 0, 0
    file = written(tmp_path, folder, labels)
    volume = read_segmentation(file)
    assert len(volume.voxels) == len(labels) - 7
    assert np.array_equal(volume.on_grid(labels.shape, place_of(folder)), labels)


def test_rounded_positions_come_back_as_well(tmp_path: Path) -> None:
    def rounded(number: int, one: Any) -> None:
        one.ImagePositionPatient = [f"{float(part):.1f}" for part in one.ImagePositionPatient]

    series = write_series(tmp_path / "series", voxels((5, 6, 20)), affine((0.8, 0.8, 1.25)), rounded)
    labels = label_map((5, 6, 20))
    volume = read_segmentation(written(tmp_path, series, labels))
    assert np.array_equal(volume.on_grid(labels.shape, place_of(series)), labels)


def test_segments_take_the_values_of_their_names(tmp_path: Path) -> None:
    labels = label_map() * (label_map() > 1)
    series = write_series(tmp_path / "series")
    file = written(tmp_path, series, labels, {2: "core", 3: "rim"})
    assert dict(read_segmentation(file).names) == {1: "core", 2: "rim"}
    volume = read_segmentation(file, {"shell": 1, "core": 2, "rim": 3})
    assert np.array_equal(volume.on_grid(labels.shape, place_of(series)), labels)
    with pytest.raises(DataError, match=r"has the segment rim, which has no label value\. Known: core"):
        read_segmentation(file, {"core": 2})


def test_nothing_found_is_read_as_nothing(tmp_path: Path) -> None:
    series = write_series(tmp_path / "series")
    assert not read_segmentation(written(tmp_path, series, np.zeros((7, 6, 5), np.uint8))).voxels.any()


@pytest.mark.parametrize(
    ("shape", "matrix", "sentence"),
    [
        ((7, 6, 5), affine((0.8, 1.25, 3.1), turn=(20, -15, 40)), "on another grid"),
        ((7, 6, 5), affine((0.8, 1.25, 3.0), turn=(20, -15, 41)), "on another grid"),
        ((5, 6, 5), OBLIQUE, "reaches out of its image"),
    ],
)
def test_other_grids_are_refused(tmp_path: Path, shape: Any, matrix: np.ndarray, sentence: str) -> None:
    volume = read_segmentation(written(tmp_path, write_series(tmp_path / "series"), label_map()))
    with pytest.raises(DataError, match=sentence):
        volume.on_grid(shape, lps(matrix))


def test_files_that_are_no_segmentations_or_not_whole(tmp_path: Path) -> None:
    series = write_series(tmp_path / "series")
    file = written(tmp_path, series, label_map())
    assert sorted(sources(file)) == sorted(instance_uids(find_series(series).files))
    whole = file.read_bytes()
    (tmp_path / "text.dcm").write_bytes(b"none")
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "short.dcm").write_bytes(whole[:-40])
    for bad in ("text.dcm", "cut.dcm", "short.dcm", "none.dcm", "series/000.dcm"):
        with pytest.raises(DataError, match=bad):
            sources(tmp_path / bad)
        with pytest.raises(DataError, match=bad):
            read_segmentation(tmp_path / bad)
    with pytest.raises(DataError, match="cannot be read"):
        instance_uids((str(tmp_path / "text.dcm"),))
