import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medmamba.register.metrics import dice_l2r_per_label, dice_per_label, foreground

FIXED = np.array([1, 1, 1, 0, 2, 0]).reshape(1, 2, 3)
WARPED = np.array([1, 1, 0, 1, 0, 0]).reshape(1, 2, 3)


def test_by_hand() -> None:
    scores = dice_per_label(FIXED, WARPED, [1, 2, 3])
    assert scores[1].dice == pytest.approx(2 * 2 / 6)
    assert scores[2].dice == 0 and (scores[2].reference, scores[2].predicted) == (1, 0)
    assert scores[3].dice is None
    assert list(dice_per_label(FIXED, WARPED)) == [1, 2] == foreground(FIXED, WARPED)


def test_learn2reg_leaves_out_what_the_moving_image_lacks() -> None:
    lacking = np.ones((2, 2, 2), int)
    with_two = lacking.copy()
    with_two[0, 0, 0] = 2
    assert np.isnan(dice_l2r_per_label(FIXED, lacking, WARPED)[2])
    assert dice_l2r_per_label(FIXED, with_two, WARPED)[2] == 0
    assert dice_l2r_per_label(FIXED, lacking, WARPED)[1] == pytest.approx(2 / 3)
    assert np.isnan(dice_l2r_per_label(WARPED, with_two, FIXED)[2])


@given(hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3)), st.randoms(use_true_random=False))
def test_symmetric_and_one_for_itself(labels: np.ndarray, random: object) -> None:
    other = np.roll(labels, random.randint(0, 60))  # type: ignore[attr-defined]
    there, back = dice_per_label(labels, other), dice_per_label(other, labels)
    assert {label: score.dice for label, score in there.items()} == {k: s.dice for k, s in back.items()}
    assert all(score.dice == 1 for score in dice_per_label(labels, labels).values())


def test_grids_must_be_one() -> None:
    with pytest.raises(ValueError, match="one grid"):
        dice_per_label(FIXED, WARPED[:, :1])
