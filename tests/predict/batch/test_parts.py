import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.errors import ConfigError
from medmamba.predict.batch.parts import part_of, report_name


@given(st.integers(0, 40), st.integers(1, 12))
def test_parts_have_each_case_once(cases: int, parts: int) -> None:
    dealt = [part_of(range(cases), parts, number) for number in range(parts)]
    assert sorted(case for part in dealt for case in part) == list(range(cases))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    assert dealt[0] == list(range(cases))[0::parts]


@pytest.mark.parametrize(("parts", "number"), [(0, 0), (2, 2), (2, -1)])
def test_parts_that_are_not_there(parts: int, number: int) -> None:
    with pytest.raises(ConfigError, match=f"no part {number} of {parts}"):
        part_of([1, 2], parts, number)


def test_names_of_reports() -> None:
    assert report_name() == "predict_report.json"
    assert report_name(8, 3) == "predict_report_part3of8.json"
