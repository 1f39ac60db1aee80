"""How sure a mean over cases is, and whether one method beats another on the same cases.

A case is whatever is scored once: an image, or a pair of images that were registered.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

DRAWS = 10_000
"""Of a bootstrap."""
_DRAWS_AT_ONCE = 500
QUANTILES = (0, 5, 25, 50, 75, 95, 100)
"""Percentiles that a summary lists. Learn2Reg's "30", the 30th percentile, takes the good end for distances."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie."""

    mean: float
    low: float
    high: float
    """Of the 95 % bootstrap interval over cases."""
    n: int
    """Cases that have a value."""


@dataclass(frozen=True)
class Difference:
    """One method minus another, case by case."""

    mean: float
    low: float
    high: float
    """Of the 95 % bootstrap interval of the mean difference; apart from 0 means more than chance."""
    higher: int
    """Cases on which the first has the larger value."""
    lower: int
    n: int
    p_value: float | None
    """Two-sided Wilcoxon signed-rank test; None where all differences are 0 or there is one case."""


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
    """`first` minus `second` over the cases where both have a value; None where there is none.

    The sequences are of the same cases in the same order (ValueError where their lengths differ).
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are not of the same cases")
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


def column_intervals(table: NDArray[np.float64], draws: int = DRAWS, seed: int = 0) -> list[Interval | None]:
    """`bootstrap_interval` of every column at once, with whole rows drawn; None where a column has no value.

    `table`: (cases, columns), not a number where a case has no value. Draws without a value in a column are left out
    of its interval.
    """
    if not len(table):
        return [None] * table.shape[1]
    means, counts = _means(table, np.ones((1, len(table))))
    resampled = _resampled(table, draws, seed)
    known = (~np.isnan(table)).sum(axis=0)
    found: list[Interval | None] = []
    for column in range(table.shape[1]):
        kept = resampled[:, column][~np.isnan(resampled[:, column])]
        if not counts[0, column]:
            found.append(None)
            continue
        low, high = np.percentile(kept, (2.5, 97.5))
        found.append(Interval(float(means[0, column]), float(low), float(high), int(known[column])))
    return found


def mean_of_means(table: NDArray[np.float64], draws: int = DRAWS, seed: int = 0) -> Interval | None:
    """Mean over cases of each column, then over the columns, with its 95 % bootstrap interval; None without a value.

    `table`: (cases, labels), not a number where a case has no value for a label. Cases are drawn whole, so that labels
    of one patient stay together; a draw in which a label has no value takes the mean of the others. `n`: cases that
    have any value.
    """
    known = ~np.isnan(table)
    table, known = table[:, known.any(axis=0)], known[:, known.any(axis=0)]
    if not table.size:
        return None
    resampled = _resampled(table, draws, seed)
    there = ~np.isnan(resampled)
    means = np.where(there, resampled, 0).sum(axis=1)[there.any(axis=1)] / there.sum(axis=1)[there.any(axis=1)]
    low, high = np.percentile(means, (2.5, 97.5))
    mean = float(_means(table, np.ones((1, len(table))))[0].mean())
    return Interval(mean, float(low), float(high), int(known.any(axis=1).sum()))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number by Holm's step-down method (Scand. J. Statist. 6, 1979); None stays None.

    Below 0.05 after correction: the chance that any of the differences called so is none is below 5 %.
    """
    order = sorted((value, place) for place, value in enumerate(p_values) if value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (value, place) in enumerate(order):
        least = max(least, min(1.0, value * (len(order) - rank)))
        corrected[place] = least
    return corrected


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    array = np.array([np.nan if value is None else value for value in values], np.float64)
    return array[~np.isnan(array)]


def _resampled(table: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """(draws, columns): means of the columns over cases drawn with replacement; not a number without a value."""
    rng, cases = np.random.default_rng(seed), len(table)
    result = np.empty((draws, table.shape[1]))
    for first in range(0, draws, _DRAWS_AT_ONCE):
        size = min(_DRAWS_AT_ONCE, draws - first)
        drawn = rng.multinomial(cases, np.full(cases, 1 / cases), size=size)
        result[first : first + size] = _means(table, drawn.astype(np.float64))[0]
    return result


def _means(table: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(draws, columns) means of a (cases, columns) table under (draws, cases) weights, and the weight in each."""
    known = ~np.isnan(table)
    counts = weights @ known.astype(np.float64)
    sums = weights @ np.where(known, table, 0)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0), counts


def _wilcoxon(differences: NDArray[np.float64]) -> float | None:
    if len(differences) < 2 or not differences.any():
        return None
    with warnings.catch_warnings():  # few cases or ties: it then takes the normal approximation, and says so
        warnings.simplefilter("ignore")
        return float(stats.wilcoxon(differences).pvalue)
