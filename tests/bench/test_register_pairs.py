from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.bench.register_options import RegisterOptions
from medmamba.bench.register_pairs import centred, prepare, remapped
from medmamba.errors import ConfigError
from medmamba.register.grid import Grid
from medmamba.register.images import Volume, read_image, read_labels, write_image


def case(folder: Path, name: str, shape: tuple[int, int, int], affine: np.ndarray, mark: tuple[int, int, int]) -> None:
    """An image with one bright, labelled voxel, and a landmark on it."""
    grid = Grid(shape, affine)
    data = np.full(shape, 100, np.int16)
    labels = np.zeros(shape, np.uint8)
    data[mark], labels[mark] = 900, 1
    data[0, 0, 0] = -500
    write_image(Volume(data, grid), folder / "images" / f"{name}_0000.nii.gz")
    write_image(Volume(labels, grid), folder / "labels" / f"{name}.nii.gz")
    (folder / "points").mkdir(exist_ok=True)
    np.savetxt(folder / "points" / f"{name}.csv", [mark], delimiter=",")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Two cases, the second stored left to right and front to back and with another origin."""
    turned = np.diag([-1.0, -1.0, 2.0, 1.0])
    turned[:3, 3] = 50, 60, -70
    case(tmp_path, "a", (9, 12, 7), np.diag([1.0, 1.0, 2.0, 1.0]), (4, 6, 3))
    case(tmp_path, "b", (12, 9, 8), turned, (2, 1, 5))
    (tmp_path / "pairs.csv").write_text("fixed,moving\na,b\n")
    folders = {kind: (tmp_path / kind,) for kind in ("images", "labels", "points")}
    return {"pairs": tmp_path / "pairs.csv", **folders}


def test_centred_pairs_share_a_grid_on_which_all_moved_together(options: dict[str, Any], tmp_path: Path) -> None:
    (ready,) = prepare(RegisterOptions(**options), tmp_path / "out")
    fixed, moving, labels = read_image(ready.fixed), read_image(ready.moving), ready.truth()
    assert fixed.grid.shape == (16, 16, 16) and fixed.grid.same_as(moving.grid)
    assert fixed.grid.spacing == (1, 1, 2)
    for image, mask, points in (
        (fixed, labels.fixed, labels.fixed_points), (moving, labels.moving, labels.moving_points)
    ):  # fmt: skip
        (place,) = np.argwhere(mask.data == 1)
        assert points is not None and image.grid.index(points)[0] == pytest.approx(place)
        assert image.data[tuple(place)] == image.data.max() == 1 and image.data.min() == 0
    (place,) = np.argwhere(labels.moving.data == 1)
    assert place.tolist() == [11 - 2 + 2, 8 - 1 + 3, 5 + 4]  # turned to RAS, then moved to the middle


def test_own_grids_keep_the_world(options: dict[str, Any], tmp_path: Path) -> None:
    (ready,) = prepare(RegisterOptions(**options, own_grids=True), tmp_path / "out")
    truth = ready.truth()
    assert truth.moving_points is not None
    assert truth.moving_points[0] == pytest.approx([50 - 2, 60 - 1, -70 + 2 * 5])
    index = truth.moving.grid.index(truth.moving_points)
    assert truth.moving.data[tuple(np.rint(index[0]).astype(int))] == 1


def test_remapping_changes_the_moving_image_alone(options: dict[str, Any], tmp_path: Path) -> None:
    (plain,) = prepare(RegisterOptions(**options), tmp_path / "plain")
    (changed,) = prepare(RegisterOptions(**options, remap=True), tmp_path / "changed")
    np.testing.assert_array_equal(read_image(plain.fixed).data, read_image(changed.fixed).data)
    np.testing.assert_allclose(remapped(read_image(plain.moving).data), read_image(changed.moving).data, atol=1e-6)
    assert plain.labels is not None and changed.labels is not None
    np.testing.assert_array_equal(read_labels(plain.labels[1]).data, read_labels(changed.labels[1]).data)
    assert remapped(np.array([0, 0.25, 0.5, 1])) == pytest.approx([0, 0.5, 1, 0], abs=1e-6)


@given(st.integers(1, 9), st.integers(1, 9))
def test_centring_and_back_loses_nothing_that_fits(size: int, wanted: int) -> None:
    data = np.arange(1, size + 1)
    found = centred(data, (wanted,))
    assert found.shape == (wanted,) and np.count_nonzero(found) == min(size, wanted)
    if size <= wanted:
        np.testing.assert_array_equal(centred(found, (size,)), data)


def test_what_cannot_be_prepared_is_a_sentence(options: dict[str, Any], tmp_path: Path) -> None:
    case(tmp_path, "c", (9, 9, 9), np.eye(4), (1, 1, 1))
    (tmp_path / "pairs.csv").write_text("fixed,moving\na,c\n")
    with pytest.raises(ConfigError, match="cannot be centred on one grid"):
        prepare(RegisterOptions(**options), tmp_path / "out")
    (tmp_path / "pairs.csv").write_text("fixed,moving\na,d\n")
    with pytest.raises(ConfigError, match="There is no image of d in"):
        prepare(RegisterOptions(**options), tmp_path / "out")


def test_options_that_make_no_sense_are_sentences(options: dict[str, Any]) -> None:
    for more, says in (
        ({"methods": ("magic",)}, "no method 'magic'"),
        ({"methods": ("affine+net",)}, "needs --model"),
        ({"methods": ("affine",), "baseline": "ants-syn"}, "--baseline ants-syn is not measured"),
        ({"interpolation": "cubic"}, "'cubic'"),
    ):
        with pytest.raises(ConfigError, match=says):
            RegisterOptions(**options, **more)
    assert "affine+net" not in RegisterOptions(**options).chosen()
    assert RegisterOptions(**options, model="m", methods=("affine+net", "identity")).chosen() == [
        "identity",
        "affine+net",
    ]
