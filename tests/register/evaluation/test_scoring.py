import numpy as np
import pytest

from medmamba.register.evaluation.scoring import DEFINITIONS, Truth, score, score_labels
from medmamba.register.transforms.transform import Field, Transform
from tests.register.scenes import CENTRES, SHIFT, bodies, grid, truth

FIXED, MOVING = bodies(grid(), np.zeros(3)), bodies(grid((36, 32, 40), (1.1, 1.0, 1.2)), SHIFT)
POINTS = np.stack(list(CENTRES.values()))


def test_the_true_transform_is_right_and_none_is_wrong_by_the_shift() -> None:
    known = Truth(FIXED, MOVING, None, POINTS, POINTS + SHIFT)
    right, wrong = score("a", truth(), known), score("a", Transform(()), known)
    assert right.value("tre_mm") == pytest.approx(0, abs=1e-9)
    assert wrong.value("tre_mm") == pytest.approx(np.linalg.norm(SHIFT))
    good, bad = right.value("dice"), wrong.value("dice")
    assert good is not None and bad is not None and good > 0.93 and bad < 0.65  # balls of seven voxels radius
    assert right.value("hd95_mm") <= 1.6 < 3 < wrong.value("hd95_mm")  # type: ignore[operator]
    assert right.value("folding_percent") == 0 and right.value("sdlogj") == pytest.approx(0, abs=1e-5)
    assert right.value("outside_percent") > 0  # type: ignore[operator]


def test_a_field_scores_as_the_affine_it_was_sampled_from() -> None:
    known = Truth(FIXED, MOVING)
    field = truth().displacement_on(FIXED.grid)
    one, other = score("a", truth(), known), score("a", Transform((field,)), known)
    assert one.labels == other.labels


def test_values_name_every_figure_and_each_label() -> None:
    found = score("a", truth(), Truth(FIXED, MOVING), "nearest").values()
    assert set(DEFINITIONS) <= set(found) and found["tre_mm"] is None
    assert found["dice"] == pytest.approx((found["dice_1"] + found["dice_3"]) / 2)  # type: ignore[operator]


def test_folding_counts_in_the_mask() -> None:
    displacement = np.zeros((*FIXED.grid.shape, 3), np.float32)
    displacement[10, 10, 10, 0] = 5
    mask = np.zeros(FIXED.grid.shape, bool)
    folded = Transform((Field(displacement, FIXED.grid),))
    mask[20:30, 20:25, 5:15] = True
    assert score("a", folded, Truth(FIXED, MOVING, mask=mask)).value("folding_percent") == 0
    mask[11, 10, 10] = True
    assert score("a", folded, Truth(FIXED, MOVING, mask=mask)).value("folding_percent") == pytest.approx(100 / 501)


def test_absent_structures_say_where() -> None:
    fixed, warped = np.zeros((4, 4, 4), int), np.zeros((4, 4, 4), int)
    fixed[0], warped[1] = 1, 2
    found = score_labels(fixed, warped, [1, 2, 3], (1, 1, 1))
    assert [(one.absent, one.dice) for one in found.values()] == [("warped", 0.0), ("fixed", 0.0), ("both", None)]
    assert found[1].hd95_mm is None
