import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.report.charts import WIDTH, axis, crowded, curves, strip

NUMBERS = st.floats(-1e5, 1e5)


@given(NUMBERS, NUMBERS)
def test_an_axis_holds_its_values_between_few_round_ticks(first: float, second: float) -> None:
    low, high = sorted((first, second))
    found = axis(low, high)
    if high - low > 1e-6:
        rounding = 1e-7 * (high - low)
        assert found.low <= low + rounding and high <= found.high + rounding
    assert 2 <= len(found.ticks) <= 8 and list(found.ticks) == sorted(set(found.ticks))
    assert found.place(found.low) == 0 and found.place(found.high) == 1


def test_a_strip_has_a_dot_a_case_and_its_quartiles() -> None:
    values = [0.1, 0.5, 0.6, 0.7, 0.8, 0.9]
    found = strip("liver", values, axis(0, 1), (0.4, 0.6, 0.8), 2)
    assert [float(x) for x in re.findall(r"M(\d+)", found.dots)] == [value * WIDTH for value in values]
    assert found.box == pytest.approx((525, 775, 650)) and found.whiskers == pytest.approx((500, 900))
    assert found.mean == pytest.approx((400, 600, 800)) and "median 0.65" in found.text and found.median == "0.65"


def test_few_values_have_no_box_and_many_no_dots() -> None:
    assert strip("liver", [0.5], axis(0, 1), None, 2).box is None
    assert strip("liver", [], axis(0, 1), None, 2).text == "liver: no figure"
    assert strip("liver", [0.5] * 9, axis(0, 1), None, 2, dots=False).dots == ""
    assert crowded([[0.0] * 3000, [0.0] * 3000]) and not crowded([[0.0] * 30])


def test_curves_have_gaps_where_numbers_are_missing() -> None:
    found = curves("Loss", [("a", [1.0, None, 0.5, 0.25]), ("b", [None, None])])
    assert found is not None
    (line,) = found.lines
    assert line.path.count("M") == 2 and line.path.count("L") == 1 and line.last == "0.250"
    assert curves("Loss", [("a", [None])]) is None
    one = curves("Loss", [("a", [1.0])])
    assert one is not None and one.lines[0].path.endswith("h0")  # a dot is seen
