import numpy as np
import pytest

from medmamba.register.metrics import inverse_consistency_mm


class Scale:
    def __init__(self, by: float) -> None:
        self.by = by

    def points(self, ras: np.ndarray) -> np.ndarray:
        return ras * self.by


def test_residual_of_there_and_back() -> None:
    points = np.zeros((101, 3))
    points[:, 0] = np.arange(101)
    exact = inverse_consistency_mm(Scale(0.5), Scale(2), points)
    assert (exact.mean, exact.p95, exact.largest, exact.points) == (0, 0, 0, 101)
    off = inverse_consistency_mm(Scale(0.5), Scale(2.02), points)
    assert (off.mean, off.p95, off.largest) == pytest.approx((0.5, 0.95, 1.0))


def test_without_points_there_is_nothing_to_say() -> None:
    with pytest.raises(ValueError, match="no points"):
        inverse_consistency_mm(Scale(1), Scale(1), np.zeros((0, 3)))
