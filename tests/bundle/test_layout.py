import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.bundle import layout
from medmamba.errors import BundleError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
def test_round_trip(content) -> None:
    assert layout.parse(layout.serialise(content), "f") == content


def test_what_json_does_not_know_becomes_null() -> None:
    assert json.loads(layout.serialise({"a": (float("nan"), float("-inf"), 1)})) == {"a": [None, None, 1]}


@pytest.mark.parametrize("name", ["bundle.json", "previous/plans.json", "fold_0.safetensors", "fold_all.safetensors"])
def test_names(name: str) -> None:
    layout.check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "a.py", "fold_0.pth", "previous/previous/plans.json", "./plans.json", "plans.json\n", "C:\\plans.json",
     "\\\\host\\plans.json", "previous\\..\\plans.json", "previous//plans.json", "fold_١.safetensors"],
)  # fmt: skip
def test_other_names(name: str) -> None:
    with pytest.raises(BundleError):
        layout.check_name(name)


def test_brackets_in_strings_do_not_count() -> None:
    assert layout.parse(json.dumps({"a": '[{"\\' * 100}).encode(), "f")


@pytest.mark.parametrize(("name", "fold"), [("fold_3.safetensors", "3"), ("plans.json", None)])
def test_fold_of(name: str, fold: str | None) -> None:
    assert layout.fold_of(name) == fold
