"""Whether an inverse inverts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .landmarks import MapsPoints


@dataclass(frozen=True)
class Residual:
    """How far points are from where they set out, after there and back. In mm."""

    mean: float
    p95: float
    """95th percentile."""
    largest: float
    points: int


def inverse_consistency_mm(first: MapsPoints, second: MapsPoints, points: NDArray[np.float64]) -> Residual:
    """|second(first(x)) - x| over the points (N, 3), RAS mm.

    For phi(phi^-1(x)) - x with x in the moving image give the inverse first. Choose points that both fields know:
    outside of its grid a field is the identity and the residual says nothing. ValueError without points.
    """
    if not len(points):
        raise ValueError("no points to measure the inverse at")
    error = np.linalg.norm(second.points(first.points(points)) - points, axis=1)
    return Residual(float(error.mean()), float(np.percentile(error, 95)), float(error.max()), len(error))
