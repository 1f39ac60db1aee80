import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.evaluate import surface
from medmamba.evaluate.surface import average_distance, hd95, percentile, surface_dice, surface_distances
from tests.evaluate.made_masks import pairs

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


def test_search_and_transform_agree_and_slabs_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "_AT_ONCE", 300)
    for p, r, spacing in pairs(40):
        if p.any() and r.any():
            by_tree = surface._by_tree(p, r, spacing)
            np.testing.assert_allclose(by_tree, surface._by_transform(p, r, spacing), rtol=1e-12, atol=1e-12)
            assert len(by_tree) == p.sum()


@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_figures_scale_with_the_spacing(seed: int, factor: float) -> None:
    p, r, spacing = next(pairs(1, seed))
    there = surface_distances(p, r, spacing)
    scaled = surface_distances(p, r, tuple(factor * edge for edge in spacing))
    assert (there is None) == (scaled is None)
    if there is not None and scaled is not None:
        assert average_distance(scaled) == pytest.approx(factor * average_distance(there))
        assert percentile(scaled, 95) == pytest.approx(factor * percentile(there, 95))


def test_measures_by_hand() -> None:
    both = (np.array([0.0, 1.0, 2.0]), np.array([0.0]))
    assert average_distance(both) == pytest.approx(3 / 4)
    assert surface_dice(both, 1) == pytest.approx(3 / 4)
    assert (percentile(both, 100), percentile(both, 100, "pooled"), percentile(both, 50)) == (2, 2, 1)


def test_a_tolerance_of_one_voxel_takes_a_voxel_as_headers_store_it() -> None:
    here, there = cube(5, 5, 5, size=1), cube(6, 5, 5, size=1)
    both = surface_distances(here, there, (float(np.float32(1.1)), 1, 1))
    assert both is not None and both[0][0] > 1.1
    assert surface_dice(both, 1.1) == 1


def test_the_whole_grid_has_its_border_as_surface() -> None:
    whole = np.ones((5, 5, 5), bool)
    both = surface_distances(whole, cube(2, 2, 2, size=1, grid=(5, 5, 5)), (1, 1, 1))
    assert both is not None and (len(both[0]), len(both[1])) == (5**3 - 3**3, 1)
    assert both[1][0] == 2
