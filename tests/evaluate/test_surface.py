import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.register.metrics import hd95, surface_distances

SPACING = (0.5, 1.0, 3.0)


def cube(*corner: int, size: int = 4, grid: tuple[int, int, int] = (16, 16, 16)) -> np.ndarray:
    mask = np.zeros(grid, bool)
    mask[tuple(slice(c, c + size) for c in corner)] = True
    return mask


@given(st.tuples(*[st.integers(-5, 5)] * 3))
def test_every_distance_of_a_moved_voxel_is_the_move(move: tuple[int, int, int]) -> None:
    here, there = cube(7, 7, 7, size=1), cube(*(7 + m for m in move), size=1)
    expected = float(np.linalg.norm(np.multiply(move, SPACING)))
    for definition in ("pooled", "max"):
        assert hd95(here, there, SPACING, definition=definition) == pytest.approx(expected)
        assert hd95(here, there, SPACING, "voxel", definition) == pytest.approx(np.linalg.norm(move))


def test_against_all_pairs_of_surface_voxels() -> None:
    fixed, warped = cube(2, 3, 4), cube(4, 3, 5, size=5)
    found = surface_distances(fixed, warped, SPACING)
    assert found is not None
    places = []
    for mask, size in ((fixed, 4), (warped, 5)):  # a cube without its inner one
        inner = cube(*(np.argwhere(mask).min(0) + 1), size=size - 2)
        places.append(np.argwhere(mask & ~inner) * SPACING)
    table = np.linalg.norm(places[0][:, None] - places[1][None], axis=2)
    np.testing.assert_allclose(np.sort(found[0]), np.sort(table.min(1)))
    np.testing.assert_allclose(np.sort(found[1]), np.sort(table.min(0)))


def test_pooled_and_max_differ_where_few_voxels_are_far() -> None:
    fixed = cube(0, 0, 0, size=12)
    warped = fixed.copy()
    warped[:12, :5, 15] = True  # 60 of its 788 surface voxels, more than 5 %, but fewer than 5 % of all
    assert hd95(fixed, warped, SPACING) == 0
    assert hd95(fixed, warped, SPACING, definition="max") == pytest.approx(4 * SPACING[2])


def test_empty_has_none() -> None:
    assert hd95(cube(0, 0, 0), np.zeros((16, 16, 16)), SPACING) is None
