from pathlib import Path

import numpy as np
import pytest

from medmamba.errors import ConfigError
from medmamba.register.evaluation.predictions import Places, find_case, find_transform, pairs_in
from medmamba.register.pairs import Pair, read_pairs
from tests.register.scenes import SHIFT, dataset


@pytest.mark.parametrize(
    ("file", "fixed", "moving"),
    [
        ("disp_0001_0002.nii.gz", "imagesTr/Set_0001_0000.nii.gz", "imagesTr/Set_0002_0000.nii.gz"),
        ("disp_0001_0000_0002_0001.npz", "Set_0001_0000", "Set_0002_0001"),
        ("disp_023_074.nii.gz", "hippocampus_023", "hippocampus_074"),
        ("disp_left_right.nii.gz", "left.nii.gz", "right"),
        ("a_to_b.h5", "a", "b"),
        ("mine.tfm", "a", "b"),
        ("a_to_b/transform.h5", "a", "b"),
        ("mine/transform.h5", "a", "b"),
    ],
)
def test_every_habit_of_naming_is_found(tmp_path: Path, file: str, fixed: str, moving: str) -> None:
    pair = Pair("mine", fixed, moving)
    assert find_transform(tmp_path, pair) is None
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    found = tmp_path / file
    assert find_transform(tmp_path, pair) == (found.parent if found.name == "transform.h5" else found)


def test_a_dataset_gives_labels_and_landmarks_of_both_sides(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    (pair,) = read_pairs(folder / "dataset.json")
    truth = Places.of_dataset(folder).truth(pair)
    assert truth.wanted() == [1, 3] and truth.mask is None
    assert truth.fixed_points is not None and truth.moving_points is not None
    np.testing.assert_allclose(truth.moving_points - truth.fixed_points, [SHIFT, SHIFT], atol=1e-5)


def test_a_case_is_found_with_and_without_its_modality(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b_0000.mha"):
        (tmp_path / name).touch()
    ends = (".nii.gz", ".mha")
    assert find_case([tmp_path], "x/a_0000.nii.gz", ends) == tmp_path / "a.nii.gz"
    assert find_case([tmp_path], "b", ends) == tmp_path / "b_0000.mha"
    assert find_case([tmp_path], "c", ends) is None


def test_absent_labels_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no label map of a in"):
        Places((tmp_path,)).truth(Pair("a_to_b", "a", "b"))


def test_a_folder_of_results_names_its_pairs(tmp_path: Path) -> None:
    for name in ("a_to_b", "broken_to_c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a_to_b" / "transform.h5").touch()
    (tmp_path / "c_to_d.h5").touch()
    (tmp_path / "summary.json").touch()
    assert [(pair.name, pair.fixed, pair.moving) for pair in pairs_in(tmp_path)] == [
        ("a_to_b", "a", "b"),
        ("c_to_d", "c", "d"),
    ]
