"""Preprocessed cases as registration sees them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medmamba.errors import DataError
from medmamba.nnunet.registration import alignment, cases
from medmamba.nnunet.registration.cases import Cases, modality_of
from tests.register.made import noise

SIZE = (6, 8, 10)
"""Of nnU-Net's arrays: slowest axis first."""
PLANS = {
    "transpose_backward": [0, 1, 2],
    "foreground_intensity_properties_per_channel": {"0": {"mean": 100.0, "std": 50.0}, "1": {"mean": 0.0, "std": 1.0}},
}
RAS = {"sitk_stuff": {"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}}
"""A file whose axes go to the right, to the front and up."""


class Stored:
    """nnU-Net's dataset: two channels, normalised, -1 outside of the mask of the second."""

    def __init__(self, properties: Any = None, size: tuple[int, int, int] = SIZE) -> None:
        self.read: list[str] = []
        self.properties, self.size, self.bad = properties or RAS, size, {"bad"}

    def load_case(self, name: str) -> tuple[Any, ...]:
        self.read.append(name)
        if name in self.bad:
            raise OSError("the disk is gone")
        seed = seed_of(name)
        data = np.stack([4 * noise(self.size, 1.5, seed + channel) - 2 for channel in (0, 1)]).astype(np.float32)
        return data, (data[:1] > 0).astype(np.int8), None, self.properties


def seed_of(name: str) -> int:
    return sum(name.encode())


def of(stored: Stored, *schemes: str, plans: dict[str, Any] = PLANS) -> Cases:
    how = {"spacing": [2.0, 1.0, 1.0], "normalization_schemes": list(schemes or ("ZScoreNormalization",) * 2)}
    return Cases(stored, plans, how)


def test_arrays_are_turned_and_scaled() -> None:
    stored = Stored()
    found = of(stored)["a"]
    data, labels, *_ = stored.load_case("a")
    assert len(found.images) == 2 and all(image.shape == SIZE[::-1] for image in found.images)
    assert found.labels.dtype == torch.int16 and np.array_equal(found.labels.numpy(), labels[0].T)
    for image, array in zip(found.images, data, strict=True):
        assert image.dtype == torch.float32 and image.min() == 0 and image.max() == 1
        assert np.corrcoef(image.numpy().ravel(), array.T.ravel())[0, 1] > 0.99
    assert found.bytes == 2 * 4 * np.prod(SIZE) + 2 * np.prod(SIZE)


def test_files_of_any_orientation_lie_the_same_way() -> None:
    """The plan's first axis is the file's last, and the file looks to the left: (X, Y, Z) is undone for both."""
    plain = of(Stored())["a"].labels.numpy()
    lps = {"sitk_stuff": {"direction": (1, 0, 0, 0, -1, 0, 0, 0, 1)}}
    assert np.array_equal(of(Stored(lps))["a"].labels.numpy(), plain[::-1])
    turned = of(Stored(), plans={**PLANS, "transpose_backward": [2, 1, 0]})["a"].labels.numpy()
    assert np.array_equal(turned, plain.transpose(2, 1, 0))


def test_ct_is_scaled_by_its_hounsfield_units() -> None:
    stored = Stored()
    ct, mri = of(stored, "CTNormalization", "ZScoreNormalization")["a"].images
    data, *_ = stored.load_case("a")
    assert np.allclose(ct.numpy(), (data[0].T * 50 + 100 + 1000) / 2000, atol=1e-6)
    assert mri.max() == 1 and ct.max() < 0.7
    assert (modality_of("CTNormalization"), modality_of("NoNormalization")) == ("ct", "mri")


def test_a_case_is_read_once_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Stored()
    kept = of(stored)
    monkeypatch.setattr(cases, "_KEPT_BYTES", 2 * kept["a"].bytes)
    assert kept["a"] is kept["a"]
    for name in ("b", "a", "c"):  # b is the one that was used longest ago
        assert kept[name]
    assert stored.read == ["a", "b", "c"]
    assert kept["a"] and stored.read == ["a", "b", "c"]
    assert kept["b"] and stored.read == ["a", "b", "c", "b"]


def test_a_case_larger_than_the_room_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "_KEPT_BYTES", 1)
    stored = Stored()
    kept = of(stored)
    assert kept["a"] is kept["a"] and kept["b"] is kept["b"]
    assert stored.read == ["a", "b"]


def test_a_case_that_cannot_be_read_is_named() -> None:
    kept = of(Stored())
    with pytest.raises(DataError, match=r"case bad cannot be read: .*the disk is gone"):
        kept["bad"]
    assert kept["a"].images


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `align` asks for; its answers shift each case by as many mm as its letter stands in the alphabet."""
    asked: list[Any] = []

    def found(data: Path, channel: int, names: list[str], volume: Any) -> dict[str, np.ndarray]:
        asked.extend((data, channel, names, volume))
        shifts = {name: np.eye(4) for name in names}
        for name, matrix in shifts.items():
            matrix[0, 3] = ord(name) - ord("a")
        return shifts

    monkeypatch.setattr(alignment, "maps", found)
    return asked


def test_maps_between_cases_go_by_way_of_the_reference(maps: list[Any], tmp_path: Path) -> None:
    made = of(Stored())
    assert np.array_equal(made.between("b", "d"), np.eye(4))
    made.align(tmp_path, ("b", "d"), 1, (1.0, 1.0, 2.0))
    assert maps[:3] == [tmp_path, 1, ["b", "d"]]
    assert np.allclose(made.between("b", "d") @ [0, 0, 0, 1], [2, 0, 0, 1])
    assert np.allclose(made.between("b", "d") @ made.between("d", "b"), np.eye(4))
    assert np.array_equal(made.between("b", "b"), np.eye(4))
    assert np.array_equal(made.between("b", "z"), np.eye(4))  # not aligned


def test_what_is_aligned_lies_about_its_middle(maps: list[Any], tmp_path: Path) -> None:
    made = of(Stored())
    made.align(tmp_path, ["a"], 1, (1.0, 1.5, 2.0))
    volume = maps[3]("a")
    assert np.array_equal(volume.data, made["a"].images[1].numpy())
    assert volume.grid.spacing == (1, 1.5, 2) and np.allclose(volume.grid.centre, 0)
