import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.report.contours import outline


def polygons(path: str) -> list[np.ndarray]:
    """The corners (x, y) of every closed part of a path."""
    found = []
    for part in path.split("z")[:-1]:
        start, steps = re.fullmatch(r"M(.*)l(.*)", part).groups()
        first = np.array([float(one) for one in start.split()])
        rest = np.array([float(one) for one in steps.split()]).reshape(-1, 2)
        found.append(np.cumsum([first, *rest], 0))
    return found


def area(corners: np.ndarray) -> float:
    x, y = corners.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def test_no_mask_no_path() -> None:
    assert outline(np.zeros((4, 5), bool), 1, 1) == ""


@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(2, 7), st.integers(2, 9), st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from([0.7, 1.0]),
)  # fmt: skip
def test_a_rectangle_is_outlined_at_its_place_in_mm(
    top: int, left: int, high: int, wide: int, rows: float, columns: float
) -> None:
    mask = np.zeros((top + high + 3, left + wide + 2), bool)
    mask[top : top + high, left : left + wide] = True
    (corners,) = polygons(outline(mask, rows, columns))
    low, far = corners.min(0), corners.max(0)
    assert low == pytest.approx((left * columns, top * rows), abs=0.06)
    assert far == pytest.approx(((left + wide) * columns, (top + high) * rows), abs=0.06)
    cut_corners = 4 * 0.125 * rows * columns
    assert area(corners) == pytest.approx(high * wide * rows * columns - cut_corners, rel=0.02, abs=0.1 * rows)


def test_what_touches_the_edge_is_closed_there_and_a_hole_is_a_part_of_its_own() -> None:
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    outer, inner = sorted(polygons(outline(mask, 1, 1)), key=area, reverse=True)
    assert outer.min() == pytest.approx(0, abs=0.02) and outer.max() == pytest.approx(9, abs=0.02)
    assert inner.min() == pytest.approx(3, abs=0.02) and inner.max() == pytest.approx(6, abs=0.02)


def test_a_disc_keeps_its_area() -> None:
    y, x = np.mgrid[:61, :61]
    mask = (y - 30) ** 2 + (x - 30) ** 2 <= 25**2
    (corners,) = polygons(outline(mask, 1, 1))
    assert area(corners) == pytest.approx(mask.sum(), rel=0.02)
