from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.bench.predict_labels import agreement, gaps
from medmamba.errors import DataError


def write(folder: Path, case: str, labels: np.ndarray, spacing: float = 1.0) -> None:
    folder.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((spacing, 1.0, 1.0))
    sitk.WriteImage(image, str(folder / f"{case}.nii.gz"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two cases of ten voxels; in the second one two voxels differ."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    labels = np.zeros((1, 2, 5), np.uint8)
    labels[0, 0] = 1
    changed = labels.copy()
    changed[0, 0, :2] = 2
    for folder, second in ((theirs, labels), (ours, changed)):
        write(folder, "a", labels)
        write(folder, "b", second)
    return theirs, ours


def test_voxels_are_counted_case_by_case(folders: tuple[Path, Path]) -> None:
    found = agreement(*folders)
    assert [case.differing for case in found.cases] == [0, 2] and found.worst.case == "b"
    assert (found.same, found.worst.same, found.ties, found.same_grid) == (0.9, 0.8, None, True)
    assert found.as_json()["cases"][1]["foreground"] == 5


def test_ties_are_told_by_their_probabilities(folders: tuple[Path, Path], tmp_path: Path) -> None:
    probabilities = np.zeros((3, 1, 2, 5), np.float32)
    probabilities[1] = 0.6
    probabilities[2] = 0.4
    probabilities[1:, 0, 0, 0] = 0.501, 0.499
    for case in "ab":
        np.savez(tmp_path / f"{case}.npz", probabilities=probabilities)
    found = agreement(*folders, probabilities=tmp_path)
    assert found.ties == 1
    assert found.worst.widest == pytest.approx(np.log(0.6 / 0.4))
    assert found.cases[0].widest == 0


def test_gaps_are_those_of_the_two_labels() -> None:
    probabilities = np.array([[0.5, 0.2], [0.25, 0.3], [0.25, 0.5]])
    assert gaps(probabilities, np.array([0, 2]), np.array([1, 2])) == pytest.approx([np.log(2)])


def test_another_grid_is_noticed(folders: tuple[Path, Path]) -> None:
    write(folders[1], "a", np.zeros((1, 2, 5), np.uint8), spacing=2.0)
    assert not agreement(*folders).same_grid


def test_missing_label_maps_and_other_sizes_are_refused(folders: tuple[Path, Path]) -> None:
    write(folders[1], "b", np.zeros((1, 2, 6), np.uint8))
    with pytest.raises(DataError, match="voxels"):
        agreement(*folders)
    (folders[1] / "b.nii.gz").unlink()
    with pytest.raises(DataError, match=r"one side: b\.nii\.gz"):
        agreement(*folders)
