"""How sure a mean over pairs is, and whether one method beats another on the same pairs."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

DRAWS = 10_000
"""Of a bootstrap."""
QUANTILES = (0, 5, 25, 50, 75, 95, 100)
"""Percentiles that a summary lists. Learn2Reg's "30", the 30th percentile, takes the good end for distances."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie."""

    mean: float
    low: float
    high: float
    """Of the 95 % bootstrap interval over pairs."""
    n: int
    """Pairs that have a value."""


@dataclass(frozen=True)
class Difference:
    """One method minus another, pair by pair."""

    mean: float
    low: float
    high: float
    """Of the 95 % bootstrap interval of the mean difference; apart from 0 means more than chance."""
    higher: int
    """Pairs on which the first has the larger value."""
    lower: int
    n: int
    p_value: float | None
    """Two-sided Wilcoxon signed-rank test; None where all differences are 0 or there is one pair."""


def bootstrap_interval(values: Sequence[float | None], draws: int = DRAWS, seed: int = 0) -> Interval | None:
    """Mean with its 95 % percentile bootstrap interval (Efron); None where no value is left.

    None and not-a-number are left out and not counted. The same seed gives the same interval.
    """
    kept = _numbers(values)
    if not kept.size:
        return None
    chosen = np.random.default_rng(seed).integers(kept.size, size=(draws, kept.size))
    low, high = np.percentile(kept[chosen].mean(axis=1), (2.5, 97.5))
    return Interval(float(kept.mean()), float(low), float(high), kept.size)


def paired_difference(
    first: Sequence[float | None], second: Sequence[float | None], draws: int = DRAWS, seed: int = 0
) -> Difference | None:
    """`first` minus `second` over the pairs where both have a value; None where there is none.

    The sequences are of the same pairs in the same order (ValueError where their lengths differ).
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are not of the same pairs")
    both = [a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    interval = bootstrap_interval(both, draws, seed)
    if interval is None:
        return None
    apart = _numbers(both)
    higher, lower = int((apart > 0).sum()), int((apart < 0).sum())
    return Difference(interval.mean, interval.low, interval.high, higher, lower, interval.n, _wilcoxon(apart))


def quantiles(values: Sequence[float | None]) -> dict[str, float]:
    """ "p5" -> 5th percentile and so on (QUANTILES), by linear interpolation; empty where no value is left."""
    kept = _numbers(values)
    return {f"p{q}": float(np.percentile(kept, q)) for q in QUANTILES} if kept.size else {}


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    array = np.array([np.nan if value is None else value for value in values], np.float64)
    return array[~np.isnan(array)]


def _wilcoxon(differences: NDArray[np.float64]) -> float | None:
    if len(differences) < 2 or not differences.any():
        return None
    with warnings.catch_warnings():  # few pairs or ties: it then takes the normal approximation, and says so
        warnings.simplefilter("ignore")
        return float(stats.wilcoxon(differences).pvalue)
