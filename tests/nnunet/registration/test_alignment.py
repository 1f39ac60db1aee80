"""Affine maps that are found once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from medmamba.nnunet.registration import alignment
from medmamba.register.grid import Grid
from medmamba.register.images import Volume

SHIFTS = {"a": 0.0, "b": 3.0}


def volume(name: str) -> Volume:
    blobs = np.zeros((28, 30, 26), np.float32)
    blobs[9:15, 8:20, 8:14], blobs[15:20, 8:13, 12:19] = 1.0, 0.6
    image = ndimage.gaussian_filter(blobs, 1.5)
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(image.shape) - 1) / 2
    return Volume(ndimage.shift(image, (SHIFTS[name], 0, 0), order=1), Grid((28, 30, 26), affine))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "preprocessed"
    folder.mkdir()
    for name in SHIFTS:
        (folder / f"{name}.pkl").touch()
    return folder


def counted(asked: list[str]) -> Callable[[str], Volume]:
    def read(name: str) -> Volume:
        asked.append(name)
        return volume(name)

    return read


def test_maps_lead_from_the_reference_to_the_case_and_are_kept(data: Path) -> None:
    asked: list[str] = []
    found = alignment.maps(data, 0, ["a", "b"], counted(asked))
    assert np.array_equal(found["a"], np.eye(4))
    assert np.allclose(found["b"] @ [0, 0, 0, 1], [3, 0, 0, 1], atol=0.1)
    asked.clear()
    again = alignment.maps(data, 0, ["b"], counted(asked))
    assert np.array_equal(again["b"], found["b"]) and not asked


def test_a_case_that_changed_is_aligned_again(data: Path) -> None:
    alignment.maps(data, 0, ["a", "b"], volume)
    (data / "b.pkl").write_text("newer")
    asked: list[str] = []
    alignment.maps(data, 0, ["a", "b"], counted(asked))
    assert asked == ["a", "b"]
    asked.clear()
    alignment.maps(data, 1, ["a"], counted(asked))  # by another channel
    assert asked == ["a"]


def test_a_file_that_cannot_be_read_is_made_again(data: Path) -> None:
    (data.parent / alignment.FILE).write_text("{")
    assert np.array_equal(alignment.maps(data, 0, ["a"], volume)["a"], np.eye(4))
