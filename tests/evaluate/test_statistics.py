import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba.evaluate.statistics import (
    bootstrap_interval,
    column_intervals,
    holm,
    mean_of_means,
    paired_difference,
    quantiles,
)


def test_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(0.7, 0.1, 400).tolist()
    found = bootstrap_interval([*values, None, float("nan")])
    assert found is not None and found.n == 400 and found.mean == pytest.approx(np.mean(values))
    half = 1.96 * np.std(values) / 20  # what theory says of a mean of 400
    assert (found.high - found.mean, found.mean - found.low) == pytest.approx((half, half), rel=0.1)
    assert found == bootstrap_interval([*values, None, float("nan")])
    assert bootstrap_interval([None]) is None


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    found = [bootstrap_interval(rng.exponential(1, 30).tolist(), draws=500) for _ in range(300)]
    assert 0.87 < np.mean([one is not None and one.low < 1 < one.high for one in found]) < 0.97


def test_pairing_sees_what_two_intervals_do_not() -> None:
    pairs = np.random.default_rng(3).normal(0.7, 0.1, 20)
    better = paired_difference((pairs + 0.01).tolist(), pairs.tolist())
    assert better is not None and (better.higher, better.lower, better.n) == (20, 0, 20)
    assert better.low > 0.0099 and better.high < 0.0101
    assert better.p_value is not None and better.p_value < 1e-4
    same = paired_difference(pairs.tolist(), pairs.tolist())
    assert same is not None and same.p_value is None and same.mean == 0


def test_pairs_without_a_value_on_either_side_do_not_count() -> None:
    found = paired_difference([1.0, None, 3.0], [0.5, 1.0, None])
    assert found is not None and (found.n, found.mean) == (1, 0.5)
    assert paired_difference([None], [1.0]) is None
    with pytest.raises(ValueError, match="same cases"):
        paired_difference([1.0], [1.0, 2.0])


def test_quantiles_are_plain() -> None:
    assert quantiles([0.0, 1.0, None])["p25"] == 0.25 and quantiles([]) == {}


def test_columns_are_what_single_intervals_are() -> None:
    table = np.random.default_rng(4).normal(0.8, 0.1, (60, 2))
    table[:20, 1] = np.nan
    both = column_intervals(np.column_stack([table, np.full(60, np.nan)]))
    for column, found in enumerate(both[:2]):
        alone = bootstrap_interval(table[:, column].tolist())
        assert found is not None and alone is not None
        assert (found.mean, found.n) == (pytest.approx(alone.mean), alone.n)
        assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=0.004)
    assert both[2] is None


def test_mean_of_means_gives_each_label_one_vote() -> None:
    table = np.array([[1.0, 0.0], [1.0, np.nan], [1.0, np.nan]])
    found = mean_of_means(table)
    assert found is not None and (found.mean, found.n) == (0.5, 3)
    assert found.low == 0.5 and found.high == 1  # a draw without the first case has the first label alone
    assert mean_of_means(np.full((3, 2), np.nan)) is None


def test_labels_of_one_case_are_drawn_together() -> None:
    values = np.random.default_rng(5).normal(0, 1, 50)
    twice, once = (mean_of_means(np.column_stack([values] * count)) for count in (2, 1))
    assert twice is not None and once is not None
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrected_values_keep_their_order_between_the_plain_and_bonferroni(values: list[float]) -> None:
    corrected = holm(values)
    for plain, one in zip(values, corrected, strict=True):
        assert one is not None and plain <= one <= min(1, plain * len(values)) + 1e-12
    assert sorted(range(len(values)), key=lambda k: (values[k], k)) == sorted(
        range(len(values)), key=lambda k: (corrected[k], values[k], k)
    )
