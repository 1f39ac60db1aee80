"""Results are told apart by what they were made from."""

from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.register.pair.identity import digest_of, identity_of, is_same
from medmamba.register.pair.options import Inputs, Options


def test_contents_count_and_places_do_not(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    first.write_text("one")
    second.write_text("one")
    third.write_text("two")
    made = identity_of(first, third, Inputs(), Options())
    assert is_same(made, identity_of(second, third, Inputs(), Options(device="cpu")))
    assert not is_same(made, identity_of(third, third, Inputs(), Options()))
    assert not is_same(made, identity_of(first, third, Inputs(fixed_mask=first), Options()))
    assert not is_same(made, identity_of(first, third, Inputs(), Options(seed=1)))
    assert not is_same(made, identity_of(first, third, Inputs(), Options(), {"model": "sha256:0"}))
    assert not is_same({}, made)


def test_a_series_counts_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("a")
    before = digest_of(tmp_path)
    (tmp_path / "2").write_text("b")
    assert digest_of(tmp_path) != before
    with pytest.raises(DataError, match="does not exist"):
        digest_of(tmp_path / "gone")
