"""Inverses of affine maps and fields, and the residual that tells how good they are."""

import numpy as np
import pytest

from medmamba.register.transforms.files import read
from medmamba.register.transforms.inverse import inverted, residual
from medmamba.register.transforms.itk import write_itk
from medmamba.register.transforms.transform import Affine, Field, Transform
from tests.register.made import FIXED, MOVING, field, registration, turn


def inner() -> np.ndarray:
    """Points whose way through the field stays inside it."""
    index = np.random.default_rng(0).uniform(4, np.array(FIXED.shape) - 5, (50, 3))
    return FIXED.world(index)


@pytest.mark.parametrize("seed", range(3))
def test_points_come_back(seed: int) -> None:
    transform = registration(seed)
    back = inverted(transform)
    assert [type(part) for part in back.parts] == [Affine, Field]
    apart = np.linalg.norm(back.points(transform.points(inner())) - inner(), axis=1)
    assert apart.max() < 0.1 * min(FIXED.spacing)


def test_an_affine_comes_back_exactly() -> None:
    transform = Transform((turn(1), turn(2)))
    assert np.allclose(inverted(transform).points(transform.points(inner())), inner(), atol=1e-9)


def test_the_residual_is_the_distance_there_and_back() -> None:
    transform = registration()
    good = residual(transform, inverted(transform), MOVING.some())
    assert good[0] <= good[1] < 0.05 * min(FIXED.spacing)
    shift = np.eye(4)
    shift[:3, 3] = 3, 0, 4
    off = Transform((*inverted(Transform((turn(),))).parts, Affine(shift)))
    stretch = np.linalg.norm(turn().matrix[:3, :3] @ [3, 0, 4])
    assert np.allclose(residual(Transform((turn(),)), off, FIXED.some()), stretch)


def test_a_folded_field_shows_in_the_residual() -> None:
    folded = Transform((field(most=30),))
    assert residual(folded, inverted(folded), FIXED.some())[1] > min(FIXED.spacing)


def test_a_file_is_inverted_when_asked(tmp_path) -> None:
    write_itk(registration(), tmp_path / "t.h5")
    back = read(tmp_path / "t.h5", inverse=True)
    assert np.allclose(back.points(registration().points(inner())), inner(), atol=0.1)
