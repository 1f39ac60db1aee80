from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medmamba.data.check.geometry import NOTED, TOLERANCE, Geometry, describe, difference, from_lps

sizes = st.tuples(*[st.integers(1, 12)] * 3)
spacings = st.tuples(*[st.floats(0.1, 10)] * 3)
places = st.tuples(*[st.floats(-500, 500)] * 3)
angles = st.tuples(*[st.floats(-180, 180)] * 3)


def grid(shape, spacing, place, angle) -> Geometry:
    rotation = Rotation.from_euler("xyz", angle, degrees=True).as_matrix()
    return Geometry(shape, spacing, place, tuple(map(tuple, rotation.tolist())))


grids = st.builds(grid, sizes, spacings, places, angles)
changes = st.tuples(*[st.floats(-1, 1)] * 9)


def perturbed(one: Geometry, change: tuple[float, ...], size: float) -> Geometry:
    """Another spacing, origin and axes, `size` times as far away as `change` says."""
    wide = np.array(change) * size
    turn = Rotation.from_rotvec(wide[6:] * 0.1).as_matrix() @ np.array(one.direction)
    spacing = np.array(one.spacing) * (1 + wide[:3] * 0.1)
    place = np.array(one.origin) + wide[3:6]
    return Geometry(one.shape, tuple(spacing), tuple(place), tuple(map(tuple, turn.tolist())))


def farthest(one: Geometry, other: Geometry) -> float:
    """By looking at every voxel: the largest distance in the smallest voxel edge."""
    index = np.array(list(product(*(range(size) for size in one.shape))), float)
    apart = index @ one.matrix.T + one.origin - (index @ other.matrix.T + other.origin)
    return float(np.sqrt((apart**2).sum(1)).max()) / min(one.spacing)


@given(grids, changes, st.floats(0, 0.98), st.booleans())
def test_below_the_tolerance_never_and_above_always(one: Geometry, change, part: float, above: bool) -> None:
    whole = difference(one, perturbed(one, change, 1.0)).voxels
    assume(whole > 1e-3)
    wanted = TOLERANCE / part if above and part > 0.02 else TOLERANCE * part
    size = wanted / whole  # the distance is not linear in it: correct once
    size *= wanted / max(difference(one, perturbed(one, change, size)).voxels, 1e-12) if wanted else 1.0
    other = perturbed(one, change, size)
    truth = farthest(one, other)
    assume(abs(truth - TOLERANCE) > 1e-6)
    assert difference(one, other).real == (truth > TOLERANCE)
    assert difference(one, other).voxels == pytest.approx(truth, rel=1e-6, abs=1e-9)


@given(grids)
def test_a_header_in_32_bits_differs_by_nothing(one: Geometry) -> None:
    narrow = Geometry(
        one.shape,
        tuple(float(np.float32(value)) for value in one.spacing),
        tuple(float(np.float32(value)) for value in one.origin),
        tuple(tuple(float(np.float32(value)) for value in row) for row in one.direction),
    )
    assert not difference(one, narrow).noted
    assert difference(one, narrow).voxels < NOTED


def test_a_part_of_a_shift_in_voxels() -> None:
    one = Geometry((5, 5, 5), (2.0, 0.5, 3.0), (0.0, 0.0, 0.0), tuple(map(tuple, np.eye(3).tolist())))
    moved = Geometry(one.shape, one.spacing, (0.0, 0.0, 0.3), one.direction)
    found = difference(one, moved)
    assert (found.millimetres, found.voxels) == pytest.approx((0.3, 0.6))
    assert found.real and not found.spacing_refused
    assert describe(one, moved) == "origin 0.3 mm apart"


def test_spacing_that_nnunet_refuses_is_noted_however_small() -> None:
    one = Geometry((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(map(tuple, np.eye(3).tolist())))
    other = Geometry(one.shape, (1.00002, 1.0, 1.0), one.origin, one.direction)
    found = difference(one, other)
    assert found.noted and found.spacing_refused and not found.real


def test_axes_and_what_differs() -> None:
    upright = from_lps((4, 5, 6), (1, 1, 2), (10, 20, 30), np.eye(3).ravel().tolist())
    assert upright.axes == "LPS" and upright.origin == (-10, -20, 30)
    turned = from_lps((4, 5, 6), (1, 1, 2), (10, 20, 30), Rotation.from_euler("z", 3, degrees=True).as_matrix().ravel())
    assert "turned by 3 degrees" in describe(upright, turned)
    flipped = from_lps((4, 5, 6), (1, 1, 2), (10, 20, 30), np.diag([-1, 1, 1]).ravel())
    assert describe(upright, flipped) == "axes RPS against LPS"
    oblique = from_lps(
        (4, 5, 6), (1, 1, 2), (0, 0, 0), Rotation.from_euler("xyz", (45, 45, 45), degrees=True).as_matrix().ravel()
    )
    assert sorted({"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[letter] for letter in oblique.axes) == [0, 1, 2]


def test_not_a_number_is_real() -> None:
    one = from_lps((2, 2), (1, 1), (0, 0), (1, 0, 0, 1))
    lost = from_lps((2, 2), (1, 1), (float("nan"), 0), (1, 0, 0, 1))
    assert difference(one, lost).real and difference(one, lost).noted
