"""The work grid, and both sides on it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medmamba.register.grid import Grid
from medmamba.register.images import Volume
from medmamba.register.pair.workspace import MARGIN, MOST_VOXELS, scene, view_grid, without_margin, work_grid
from medmamba.register.transforms.transform import Affine, Transform
from tests.register.made import FIXED, MOVING, noise


@given(st.tuples(*[st.integers(8, 900)] * 3), st.tuples(*[st.floats(0.3, 6)] * 3))
def test_never_too_large_and_always_the_same_view(shape: tuple[int, int, int], spacing: tuple[float, ...]) -> None:
    grid = Grid(shape, np.diag([*spacing, 1.0]))
    work = view_grid(grid)
    assert np.prod(work.shape) <= 1.1 * MOST_VOXELS
    assert np.allclose(work.centre, grid.centre) and (np.array(work.spacing) >= np.array(grid.spacing) * 0.999).all()
    extent, seen = (np.array(one.shape) * one.spacing for one in (grid, work))
    assert (np.abs(extent - seen) <= np.array(work.spacing) / 2 + 1e-6).all()
    if np.prod(shape) <= MOST_VOXELS:
        assert work.shape == shape


def test_an_oblique_grid_is_turned_without_a_loss() -> None:
    image = Volume(noise(FIXED.shape).astype(np.float32), FIXED)
    work = view_grid(FIXED)
    seen = scene(image, image, Transform(()), work)
    assert seen.inside.all() and np.allclose(seen.fixed, seen.moving, atol=1e-6)
    at = np.rint(FIXED.index(work.world([[3, 4, 5]]))[0]).astype(int)
    assert np.isclose(seen.fixed[3, 4, 5], image.data[tuple(at)], atol=1e-5)
    assert np.isclose(image.data.sum(), seen.fixed.sum(), rtol=1e-4)


def test_what_the_moving_image_does_not_reach() -> None:
    image, other = (Volume(np.ones(grid.shape, np.float32), grid) for grid in (FIXED, MOVING))
    away = np.eye(4)
    away[0, 3] = 20
    seen = scene(image, other, Transform((Affine(away),)), work_grid(FIXED))
    assert 0 < seen.moving_inside.mean() < 1 and (seen.moving == 1).all()  # the edge goes on


def test_the_margin_is_outside_of_the_fixed_image() -> None:
    image = Volume(noise(FIXED.shape).astype(np.float32), FIXED)
    inner, seen = view_grid(FIXED), scene(image, image, Transform(()), work_grid(FIXED))
    assert seen.grid.shape == tuple(size + 2 * MARGIN for size in inner.shape)
    assert without_margin(seen.inside).all() and seen.inside.sum() == np.prod(inner.shape)
    assert np.allclose(without_margin(seen.fixed), scene(image, image, Transform(()), inner).fixed, atol=1e-5)
    assert seen.fixed[0, 0, 0] == seen.fixed[MARGIN, MARGIN, MARGIN]


def test_a_finer_image_is_smoothed_before_it_is_sampled() -> None:
    checker = (np.indices((32, 32, 32)).sum(axis=0) % 2).astype(np.float32)
    fine = Volume(checker, Grid((32, 32, 32), np.eye(4)))
    seen = scene(fine, fine, Transform(()), fine.grid.resampled((4, 4, 4)))
    assert np.abs(seen.fixed[2:-2, 2:-2, 2:-2] - 0.5).max() < 0.05
