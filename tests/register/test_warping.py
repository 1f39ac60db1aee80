"""Images, labels and Jacobians under a transform, against SimpleITK and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import ConfigError
from medmamba.register.grid import Grid
from medmamba.register.images import Volume
from medmamba.register.transforms.transform import Affine, Field, Transform
from medmamba.register.warping import jacobian, outside_share, warp_image, warp_labels
from tests.register.made import FIXED, MOVING, field, image, labels, registration, turn

IDENTITY = Transform(())


def shift(*voxels: float, grid: Grid = FIXED) -> Transform:
    return Transform((Field(np.full((*grid.shape, 3), voxels, np.float32), grid),))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("interpolation", ["linear", "nearest", "bspline"])
def test_type_and_range_are_kept(dtype: type, interpolation: str) -> None:
    moving = Volume((image().data / 4 + 3).astype(dtype), MOVING)
    warped = warp_image(moving, registration(), FIXED, interpolation)
    assert warped.data.dtype == dtype
    assert warped.data.shape == FIXED.shape
    assert moving.data.min() <= warped.data.min() <= warped.data.max() <= moving.data.max()
    assert warped.data.max() > 100


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float32])
def test_the_identity_gives_the_image_itself(dtype: type) -> None:
    moving = image(dtype=np.float32)
    moving = Volume((moving.data / 10).astype(dtype), MOVING)
    for interpolation in ("linear", "nearest"):
        exact = 0 if moving.data.dtype.kind == "i" else 1e-4
        assert np.allclose(warp_image(moving, IDENTITY, MOVING, interpolation).data, moving.data, rtol=0, atol=exact)
    assert np.allclose(warp_image(moving, IDENTITY, MOVING, "bspline").data, moving.data, atol=1e-3)


def test_integers_are_rounded_to_the_nearest() -> None:
    moving = image(dtype=np.int16)
    exact = warp_image(Volume(moving.data.astype(np.float32), MOVING), registration(), FIXED).data
    assert np.array_equal(warp_image(moving, registration(), FIXED).data, np.rint(exact))


def test_out_of_the_image_is_its_smallest_or_what_is_asked_for() -> None:
    moving = Volume((image().data + 50).astype(np.int16), MOVING)
    far = Transform((Affine(np.array([[1.0, 0, 0, 900], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])),))
    assert (warp_image(moving, far, FIXED).data == moving.data.min()).all()
    assert (warp_image(moving, far, FIXED, outside=-1024).data == -1024).all()
    assert (warp_labels(labels(), far, FIXED, "linear").data == 0).all()
    assert outside_share(MOVING, far, FIXED) == 1
    with pytest.raises(ConfigError, match="uint8"):
        warp_image(labels(), far, FIXED, outside=-1024)


def test_the_outside_share_counts_voxels() -> None:
    assert outside_share(FIXED, IDENTITY, FIXED) == 0
    assert np.isclose(outside_share(FIXED, shift(4.0, 0, 0), FIXED), 4 / 17)
    reached = warp_image(Volume(np.ones(MOVING.shape, np.uint8), MOVING), registration(), FIXED, "nearest", 0)
    assert np.isclose(outside_share(MOVING, registration(), FIXED), 1 - reached.data.mean(), atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 500), st.integers(2, 9))
def test_linear_labels_are_those_of_one_map_a_label(seed: int, count: int) -> None:
    """Against the one-hot maps through SimpleITK one by one, and their largest."""
    moving, transform = labels(count=count, seed=seed), registration(seed)
    values = np.unique(moving.data)
    maps = [Volume((moving.data == value).astype(np.float32), MOVING) for value in values]
    shares = np.stack([warp_image(one, transform, FIXED, outside=0).data for one in maps])
    wanted = values[np.argmax(shares, axis=0)] * (shares.sum(axis=0) > 0.5)
    second, first = np.sort(shares, axis=0)[-2:] if len(values) > 1 else (shares[0] - 1, shares[0])
    clear = (first - second > 1e-4) | (first == 0)
    assert clear.mean() > 0.9
    assert np.array_equal(warp_labels(moving, transform, FIXED, "linear").data[clear], wanted[clear])


def test_equal_shares_go_to_the_smallest_label() -> None:
    data = np.zeros((4, 2, 2), np.uint8)
    data[0], data[1], data[2] = 7, 3, 9
    grid = Grid((4, 2, 2), np.eye(4))
    halves = warp_labels(Volume(data, grid), shift(0.5, 0, 0, grid=grid), grid, "linear")
    assert halves.data[:3, 0, 0].tolist() == [3, 3, 0]


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_labels_are_never_mixed(interpolation: str) -> None:
    warped = warp_labels(labels(), registration(), FIXED, interpolation)
    assert warped.data.dtype == np.uint8
    assert set(np.unique(warped.data)) <= set(np.unique(labels().data))
    assert np.array_equal(warp_labels(labels(FIXED), IDENTITY, FIXED, interpolation).data, labels(FIXED).data)


def test_the_jacobian_of_an_affine_is_its_determinant_everywhere() -> None:
    transform = Transform((turn(1), turn(2)))
    wanted = np.linalg.det(turn(1).matrix) * np.linalg.det(turn(2).matrix)
    assert np.allclose(jacobian(transform, FIXED), wanted, atol=1e-5)


@pytest.mark.parametrize("transform", [Transform((field(),)), registration(), Transform((turn(), field()))])
def test_the_jacobian_is_that_of_points_which_simpleitk_moves(transform: Transform) -> None:
    """Millimetres between moved neighbours over those between them. (ITK's own filter ignores directions.)"""
    itk, determinant = transform.itk(), jacobian(transform, FIXED)
    for index in np.random.default_rng(0).integers(4, np.array(FIXED.shape) - 4, (20, 3)):
        ends = [FIXED.world(index + side * np.eye(3)) * [-1, -1, 1] for side in (1, -1)]
        moved = [np.array([itk.TransformPoint(point) for point in end.tolist()]) for end in ends]
        wanted = np.linalg.det(moved[0] - moved[1]) / np.linalg.det(ends[0] - ends[1])
        assert np.isclose(determinant[tuple(index)], wanted, atol=1e-3)


def test_the_jacobian_of_both_is_the_product() -> None:
    alone = jacobian(Transform((field(),)), FIXED)
    both = jacobian(registration(), FIXED)
    assert np.allclose(both, alone * np.linalg.det(turn().matrix), atol=1e-4)


def test_the_jacobian_tells_volumes_apart() -> None:
    """A moving image twice as large in each direction: every fixed mm^3 becomes eight."""
    double = Transform((Affine(np.diag([2.0, 2, 2, 1])),))
    assert np.allclose(jacobian(double, FIXED), 8)


def test_the_jacobian_in_portions_is_the_jacobian_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = jacobian(registration(), FIXED)
    monkeypatch.setattr("medmamba.register.warping._AT_ONCE", 1)
    assert np.array_equal(jacobian(registration(), FIXED), whole)
