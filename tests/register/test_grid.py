"""Grids against SimpleITK's own arithmetic, and what leaves voxels where they are."""

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.register.grid import Grid
from tests.predict.made_images import ORIENTATIONS, affine
from tests.register.made import FIXED, MOVING

grids = st.builds(
    lambda shape, spacing, angles, turn: Grid(shape, affine(spacing, angles, *turn)),
    st.tuples(*[st.integers(2, 9)] * 3),
    st.tuples(*[st.floats(0.3, 6)] * 3),
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.sampled_from(ORIENTATIONS),
)


@settings(max_examples=40, deadline=None)
@given(grids, st.tuples(*[st.floats(-3, 12)] * 3))
def test_places_are_those_of_simpleitk(grid: Grid, index: tuple[float, float, float]) -> None:
    image = grid.reference()
    lps = image.TransformContinuousIndexToPhysicalPoint(index)
    assert np.allclose(grid.world([index]) * [-1, -1, 1], lps, atol=1e-9)
    assert np.allclose(grid.index(grid.world([index])), index, atol=1e-9)
    assert Grid.of(image).same_as(grid, 1e-9)
    assert np.isclose(grid.voxel_volume, np.prod(image.GetSpacing()))


@settings(max_examples=40, deadline=None)
@given(grids)
def test_canonical_is_as_nibabel_turns_the_image(grid: Grid) -> None:
    array = np.arange(np.prod(grid.shape), dtype=np.float32).reshape(grid.shape)
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(array, grid.affine))
    assert grid.canonical().shape == turned.shape
    assert np.allclose(grid.canonical().affine, turned.affine)
    assert grid.canonical().canonical().same_as(grid.canonical(), 1e-9)


@settings(max_examples=40, deadline=None)
@given(grids, st.sampled_from([4, 16]))
def test_padding_keeps_every_voxel_in_its_place(grid: Grid, multiple: int) -> None:
    padded = grid.padded(multiple)
    before = np.rint(padded.index(grid.world([0, 0, 0]))[0])
    assert all(
        size % multiple == 0 and size - old < multiple for size, old in zip(padded.shape, grid.shape, strict=True)
    )
    assert np.allclose(padded.index(grid.world(np.array(grid.shape) - 1)), before + np.array(grid.shape) - 1)
    assert (before >= 0).all()
    assert (before + grid.shape <= padded.shape).all()


def test_resampling_keeps_the_centre_and_the_field_of_view() -> None:
    grid = FIXED.resampled((1.8, 0.65, 2.4))
    assert grid.shape == (8, 44, 14)
    assert np.allclose(grid.centre, FIXED.centre)
    assert np.allclose(grid.spacing, (1.8, 0.65, 2.4))
    assert np.allclose(grid.direction, FIXED.direction)


def test_a_grid_is_the_same_up_to_a_share_of_a_voxel() -> None:
    shifted = FIXED.affine.copy()
    shifted[0, 3] += 0.0005 * min(FIXED.spacing)
    assert FIXED.same_as(Grid(FIXED.shape, shifted))
    shifted[0, 3] += 0.01
    assert not FIXED.same_as(Grid(FIXED.shape, shifted))
    assert not FIXED.same_as(MOVING)


@pytest.mark.parametrize(("at", "there"), [(-0.51, False), (-0.49, True), (16.49, True), (16.51, False)])
def test_a_grid_reaches_half_a_voxel_beyond_its_centres(at: float, there: bool) -> None:
    assert FIXED.inside(FIXED.world([at, 5, 5])).tolist() == [there]
