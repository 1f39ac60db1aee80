"""Transforms against SimpleITK: points, composites, fields on other grids."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import DataError
from medmamba.register.grid import Grid
from medmamba.register.transforms.transform import Affine, Field, Transform, slabs
from tests.register.made import FIXED, MOVING, field, registration, turn


def through_itk(transform: Transform, ras: np.ndarray) -> np.ndarray:
    itk = transform.itk()
    return np.array([itk.TransformPoint(point) for point in (ras * [-1, -1, 1]).tolist()]) * [-1, -1, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["affine", "field", "both", "inverse order", "none"]))
def test_points_go_where_simpleitk_sends_them(seed: int, which: str) -> None:
    parts = {"affine": (turn(seed),), "field": (field(seed=seed),), "both": (field(seed=seed), turn(seed))}
    parts |= {"inverse order": (turn(seed).inverse(), field(seed=seed)), "none": ()}
    transform = Transform(parts[which])
    index = np.random.default_rng(seed).uniform(-2, np.array(FIXED.shape) + 1, (60, 3))  # some lie outside
    ras = FIXED.world(index)
    assert np.allclose(transform.points(ras), through_itk(transform, ras), atol=1e-4)


def test_the_field_comes_first_and_the_affine_second() -> None:
    step = np.zeros((*FIXED.shape, 3), np.float32)
    step[..., 2] = 1
    scale = Affine(np.diag([1.0, 1.0, 3.0, 1.0]))
    start = FIXED.world([[5, 6, 7]])
    moved = Transform((Field(step, FIXED), scale)).points(start)
    assert np.allclose(moved, FIXED.world([[5, 6, 8]]) * [1, 1, 3])


@pytest.mark.parametrize("seed", [0, 1])
def test_there_and_back_through_itk(seed: int) -> None:
    before = registration(seed)
    after = Transform.from_itk(before.itk())
    assert [type(part) for part in after.parts] == [Field, Affine]
    assert np.allclose(after.fields[0].displacement, before.fields[0].displacement, atol=1e-5)
    assert after.fields[0].grid.same_as(FIXED, 1e-9)
    assert np.allclose(after.parts[1].matrix, before.parts[1].matrix, atol=1e-9)


@pytest.mark.parametrize(
    "transform",
    [
        sitk.TranslationTransform(3, (1, 2, 3)),
        sitk.Euler3DTransform((5, 6, 7), 0.1, 0.2, 0.3, (4, 5, 6)),
        sitk.Similarity3DTransform(1.1, (0, 0, 1), 0.2, (1, 2, 3), (9, 9, 9)),
        sitk.Transform(3, sitk.sitkIdentity),
    ],
)
def test_every_linear_transform_becomes_an_affine(transform: sitk.Transform) -> None:
    ours = Transform.from_itk(transform)
    for point in [(0.0, 0.0, 0.0), (10.0, -20.0, 30.0)]:
        lps = ours.points([[-point[0], -point[1], point[2]]])[0] * [-1, -1, 1]
        assert np.allclose(lps, transform.TransformPoint(point))


def test_a_spline_is_sampled_on_the_reference() -> None:
    spline = sitk.BSplineTransformInitializer(FIXED.reference(), [4, 4, 4], order=3)
    random = np.random.default_rng(0)
    spline.SetParameters(random.normal(size=len(spline.GetParameters())).tolist())
    with pytest.raises(DataError, match="BSpline"):
        Transform.from_itk(spline)
    ours = Transform.from_itk(spline, FIXED)
    ras = FIXED.world([[3, 4, 5], [8, 8, 8]])
    lps = [spline.TransformPoint(point) for point in (ras * [-1, -1, 1]).tolist()]
    assert np.allclose(ours.points(ras) * [-1, -1, 1], lps, atol=1e-5)


def test_two_dimensions_are_refused() -> None:
    with pytest.raises(DataError, match="2 dimensions"):
        Transform.from_itk(sitk.Euler2DTransform())


def test_a_field_on_another_grid_is_the_same_map() -> None:
    transform = registration()
    on_moving = transform.displacement_on(MOVING)
    index = np.array([[4, 5, 6], [10, 8, 9]])
    assert np.allclose(
        Transform((on_moving,)).points(MOVING.world(index)), transform.points(MOVING.world(index)), atol=1e-4
    )
    assert transform.displacement_on(FIXED).grid is FIXED
    only = field()
    assert Transform((only,)).displacement_on(FIXED) is only


@settings(max_examples=40, deadline=None)
@given(
    start=st.tuples(*[st.integers(3, 5)] * 3),
    axes=st.permutations(range(3)),
    signs=st.tuples(*[st.sampled_from([1, -1])] * 3),
    off=st.sampled_from([0.0, 0.25]),
)
def test_a_field_on_some_of_its_own_voxels_is_not_interpolated(
    start: tuple[int, int, int], axes: list[int], signs: tuple[int, int, int], off: float
) -> None:
    whole = field()
    affine = whole.grid.affine.copy()
    affine[:3, :3] = whole.grid.affine[:3, axes] * signs
    affine[:3, 3] = whole.grid.world(np.array(start) + off)[0]
    some = Grid((4, 3, 4), affine)
    cut = whole.among(some)
    assert (cut is None) == (off > 0)
    parts = Transform((whole, Affine(np.diag([1.1, 0.9, 1.0, 1.0]))))
    index = np.indices(some.shape).reshape(3, -1).T
    there = some.index(parts.points(some.world(index))) - index
    assert np.allclose(parts.displacement_on(some).displacement.reshape(-1, 3), there, atol=1e-5)
    if cut is not None:
        assert np.array_equal(Transform((whole,)).displacement_on(some).displacement, cut)


def test_a_grid_that_reaches_beyond_the_field_is_none_of_its_voxels() -> None:
    whole = field()
    x, y, z = whole.grid.shape
    assert whole.among(Grid((x, y, z + 1), whole.grid.affine)) is None
    assert whole.among(whole.grid) is not None


def test_slabs_hold_every_voxel_once_and_in_order() -> None:
    rows, index = zip(*slabs((9, 600, 700)), strict=True)
    assert len(rows) > 1
    assert np.array_equal(np.concatenate(index)[:: 600 * 700][:, 0], np.arange(9))
    assert sum(map(len, index)) == 9 * 600 * 700
