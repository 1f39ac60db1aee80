import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medmamba.evaluate import overlap as module
from medmamba.evaluate.overlap import Overlap, joint_counts, of_members, overlap

MAPS = hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))


def test_by_hand() -> None:
    found = overlap(np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0]))
    assert found == Overlap(3, 3, 2)
    assert (found.dice, found.iou) == (pytest.approx(4 / 6), pytest.approx(2 / 4))


def test_empty_has_no_figure_and_one_empty_is_zero() -> None:
    assert (Overlap(0, 0, 0).dice, Overlap(0, 0, 0).iou) == (None, None)
    assert (Overlap(5, 0, 0).dice, Overlap(0, 5, 0).iou) == (0, 0)


@given(MAPS, MAPS, st.sets(st.integers(1, 3), min_size=1))
def test_one_pass_counts_what_masks_count(p: np.ndarray, r: np.ndarray, members: set[int]) -> None:
    table = joint_counts(p, r, 4)
    assert table.sum() == p.size
    chosen = sorted(members)
    assert of_members(table, chosen) == overlap(np.isin(p, chosen), np.isin(r, chosen))


def test_a_volume_in_slabs_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    p, r = np.random.default_rng(0).integers(0, 5, (2, 7, 8, 9)).astype(np.uint8)
    whole = joint_counts(p, r, 5)
    monkeypatch.setattr(module, "_AT_ONCE", 50)
    np.testing.assert_array_equal(joint_counts(p, r, 5), whole)
