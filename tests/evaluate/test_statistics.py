import numpy as np
import pytest

from medmamba.register.metrics import bootstrap_interval, paired_difference, quantiles


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
    with pytest.raises(ValueError, match="same pairs"):
        paired_difference([1.0], [1.0, 2.0])


def test_quantiles_are_plain() -> None:
    assert quantiles([0.0, 1.0, None])["p25"] == 0.25 and quantiles([]) == {}
