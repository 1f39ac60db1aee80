"""Lesion-wise scores against cases worked out by hand and against a slow version that takes the rules word by word."""

from itertools import product

import numpy as np
import pytest

from medmamba.data.scoring import LesionRules
from medmamba.evaluate.lesions import LesionScore, lesion_score
from tests.evaluate.made_masks import pairs

ONE = (1.0, 1.0, 1.0)
PLAIN = LesionRules(dilation=1, min_volume=0, penalty=374)


def cubes(*corners: tuple[int, int, int], size: int = 3) -> np.ndarray:
    mask = np.zeros((20, 20, 40), bool)
    for corner in corners:
        mask[tuple(slice(c, c + size) for c in corner)] = True
    return mask


def scored(p: np.ndarray, r: np.ndarray, rules: LesionRules = PLAIN) -> LesionScore:
    return lesion_score(p, r, ONE, rules, 99.0)


def test_perfect_and_nothing() -> None:
    two = cubes((2, 2, 2), (12, 12, 30))
    assert scored(two, two) == LesionScore(1.0, 0.0, 2, 0, 0, 0)
    none = np.zeros_like(two)
    assert scored(none, none) == LesionScore(1.0, 0.0, 0, 0, 0, 0)


def test_missed_and_false_lesions_count_once_each() -> None:
    reference, predicted = cubes((2, 2, 2), (12, 12, 30)), cubes((2, 2, 2), (12, 2, 15))
    found = scored(predicted, reference)
    assert (found.found, found.missed, found.false) == (1, 1, 1)
    assert found.dice == pytest.approx(1 / 3)
    assert found.hd95_mm == pytest.approx(2 * 374 / 3)
    assert scored(predicted, reference, LesionRules(dilation=1, min_volume=0)).hd95_mm == pytest.approx(2 * 99 / 3)


def test_parts_whose_dilations_touch_are_one_lesion() -> None:
    reference = cubes((2, 2, 2), (2, 2, 7))  # two voxels of background between them
    assert scored(reference, reference).found == 1
    assert scored(reference, reference, LesionRules(dilation=0, min_volume=0)).found == 2


def test_small_lesions_are_left_out_and_what_matches_them_is_no_error() -> None:
    reference, predicted = cubes((2, 2, 2), (12, 12, 30)), cubes((2, 2, 2), (12, 12, 30))
    reference[12:15, 12:15, 31:33] = False  # 9 voxels stay
    found = scored(predicted, reference, LesionRules(dilation=1, min_volume=9, penalty=374))
    assert found == LesionScore(1.0, 0.0, 1, 0, 0, 1)
    assert scored(predicted, reference, LesionRules(dilation=1, min_volume=8, penalty=374)).found == 2


def test_volume_is_in_millimetres() -> None:
    reference = cubes((2, 2, 2))
    rules = LesionRules(dilation=1, min_volume=50)
    assert scored(reference, reference, rules).small == 1
    assert lesion_score(reference, reference, (2, 1, 1), rules, 9).found == 1


def test_a_picture_has_lesions_too() -> None:
    mask = cubes((2, 2, 2))[3]
    assert lesion_score(mask, mask, (1.0, 1.0), PLAIN, 9.0) == LesionScore(1.0, 0.0, 1, 0, 0, 0)


def parts(mask: np.ndarray) -> list[set[tuple[int, ...]]]:
    """Components of 26 neighbours, by walking from voxel to voxel."""
    left, found = {tuple(place) for place in np.argwhere(mask).tolist()}, []
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            here = edge.pop()
            part.add(here)
            near = {tuple(a + b for a, b in zip(here, step, strict=True)) for step in product((-1, 0, 1), repeat=3)}
            edge += near & left
            left -= near
        found.append(part)
    return found


def grown(part: set[tuple[int, ...]], times: int) -> set[tuple[int, ...]]:
    """Dilated by 18 neighbours, on a grid without end."""
    steps = [step for step in product((-1, 0, 1), repeat=3) if sum(map(abs, step)) <= 2]
    for _ in range(times):
        part = {tuple(a + b for a, b in zip(here, step, strict=True)) for here in part for step in steps}
    return part


def by_the_book(p: np.ndarray, r: np.ndarray, rules: LesionRules) -> tuple[float, int, int, int]:
    """Dice, found, missed, false as the challenge states them, on sets of places."""
    reach = grown({tuple(place) for place in np.argwhere(r).tolist()}, rules.dilation)
    margin = rules.dilation
    wide = np.zeros([n + 2 * margin for n in r.shape], bool)
    for place in reach:
        wide[tuple(a + margin for a in place)] = True
    lesions = [{tuple(a - margin for a in place) for place in part} for part in parts(wide)]
    truth = {tuple(place) for place in np.argwhere(r).tolist()}
    components, used, dices, missed = parts(p), set(), [], 0
    for lesion in (part & truth for part in lesions):
        around = grown(lesion, rules.dilation)
        touching = [number for number, part in enumerate(components) if part & around]
        used.update(touching)
        if len(lesion) <= rules.min_volume:
            continue
        match = set().union(*(components[number] for number in touching))
        missed += not touching
        dices.append(2 * len(match & lesion) / (len(match) + len(lesion)))
    false = len(components) - len(used)
    count = len(dices) + false
    return (sum(dices) / count if count else 1.0), len(dices) - missed, missed, false


@pytest.mark.parametrize("rules", [PLAIN, LesionRules(dilation=2, min_volume=2), LesionRules(dilation=0, min_volume=5)])
def test_against_the_rules_word_by_word(rules: LesionRules) -> None:
    seen = set()
    for number, (p, r, _) in enumerate(pairs(32, seed=7)):
        sparse = np.random.default_rng(number).random(p.shape) < 0.15  # several lesions rather than one
        p, r = p & sparse, r & np.roll(sparse, 1, number % 3)
        found = scored(p, r, rules)
        expected = by_the_book(p, r, rules)
        assert (found.found, found.missed, found.false) == expected[1:], number
        assert found.dice == pytest.approx(expected[0]), number
        seen.add((min(found.found, 2), min(found.missed, 1), min(found.false, 1)))
    assert len(seen) >= 5
