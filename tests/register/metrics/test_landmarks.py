import numpy as np
import pytest

from medmamba.register.metrics import tre_l2r_mm, tre_mm


class Shift:
    """A transform that moves every point alike."""

    def __init__(self, *by: float) -> None:
        self.by = np.array(by)

    def points(self, ras: np.ndarray) -> np.ndarray:
        return ras + self.by


POINTS = np.random.default_rng(0).uniform(2, 8, (5, 3))


def test_fixed_points_travel_with_the_transform() -> None:
    assert tre_mm(Shift(1, 2, 3), POINTS, POINTS + np.array([1, 2, 3])) == pytest.approx(np.zeros(5))
    assert tre_mm(Shift(3, 0, 4), POINTS, POINTS) == pytest.approx(np.full(5, 5.0))


def test_learn2reg_samples_cubically_and_counts_millimetres() -> None:
    x = np.arange(12.0)
    field = np.zeros((12, 12, 12, 3))
    field[..., 1] = (0.05 * x**2)[:, None, None]  # a parabola: cubic splines follow it, lines do not
    moving = POINTS + np.stack([0 * POINTS[:, 0], 0.05 * POINTS[:, 0] ** 2, 0 * POINTS[:, 0]], 1)
    assert tre_l2r_mm(field, POINTS, moving, (1, 2, 1)).max() < 1e-2 < 0.05 * 0.25 * 2  # what lines would miss
    assert tre_l2r_mm(field, POINTS, POINTS, (1, 2, 1)) == pytest.approx(0.1 * POINTS[:, 0] ** 2, abs=1e-2)


def test_points_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        tre_mm(Shift(0, 0, 0), POINTS, POINTS[:3])
    with pytest.raises(ValueError, match="no pairs"):
        tre_l2r_mm(np.zeros((2, 2, 2, 3)), POINTS, POINTS[:3], (1, 1, 1))
