"""What the voxels of one file hold, in one pass of bounded memory."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 2**20
_SAMPLE = 100_000
_PADDING = 0.2
"""A value that fills more than this share is padding or skull-stripped background: no intensity."""
_MOST_LABELS = 2**16


@dataclass
class Values:
    """A summary of an image's or label's voxels."""

    low: float = np.inf
    """Smallest finite value."""
    high: float = -np.inf
    """Largest finite value."""
    not_finite: int = 0
    """Voxels that are NaN or infinite."""
    median: float = 0.0
    """Of what is no padding."""
    spread: float = 0.0
    """Interquartile range of what is no padding."""
    digest: str = ""
    """Of an image's values, whatever type they are stored in."""
    labels: Counter[int] = field(default_factory=Counter)
    """Label value -> voxels; of label files only."""
    fractions: int = 0
    """Voxels of a label that are no whole number."""
    fraction: float = 0.0
    """One of them."""


def summarise(voxels: NDArray[Any], scale: tuple[float, float] | None, label: bool) -> Values:
    """Summarise flat stored voxels; `scale`: slope and intercept to apply first."""
    values, digest = Values(), hashlib.sha1(usedforsecurity=False)
    for start in range(0, voxels.size, _CHUNK):
        chunk = _scaled(voxels[start : start + _CHUNK], scale)
        if not label:
            with np.errstate(over="ignore"):
                digest.update(np.ascontiguousarray(chunk, "<f4").data)
        if chunk.dtype.kind == "f":
            finite = np.isfinite(chunk)
            if not finite.all():
                values.not_finite += int(chunk.size - finite.sum())
                chunk = chunk[finite]
        if chunk.size:
            values.low = min(values.low, float(chunk.min()))
            values.high = max(values.high, float(chunk.max()))
            if label:
                _count(chunk, values)
    values.digest = digest.hexdigest()
    if not label:
        values.median, values.spread = _middle(_scaled(voxels[:: max(1, voxels.size // _SAMPLE)], scale))
    return values


def _scaled(chunk: NDArray[Any], scale: tuple[float, float] | None) -> NDArray[Any]:
    return chunk if scale is None else chunk * scale[0] + scale[1]


def _count(chunk: NDArray[Any], values: Values) -> None:
    """Add a chunk of a label to the counts."""
    if chunk.dtype.kind == "f":
        whole = chunk == np.rint(chunk)
        if not whole.all():
            values.fractions += int(chunk.size - whole.sum())
            values.fraction = float(chunk[~whole][0])
            chunk = chunk[whole]
        chunk = chunk.astype(np.int64)
    if not chunk.size:
        return
    low, high = int(chunk.min()), int(chunk.max())
    if high - low < _MOST_LABELS:
        counts = np.bincount(chunk.ravel().astype(np.int64) - low)
        present = np.flatnonzero(counts)
        values.labels.update(dict(zip((present + low).tolist(), counts[present].tolist(), strict=True)))
    else:
        present, counts = np.unique(chunk, return_counts=True)
        values.labels.update(dict(zip(present.tolist(), counts.tolist(), strict=True)))
    if len(values.labels) > _MOST_LABELS:  # no label map: keep the memory bounded
        values.labels = Counter(dict(values.labels.most_common(_MOST_LABELS // 2)))


def _middle(sample: NDArray[Any]) -> tuple[float, float]:
    """Median and interquartile range of a sample without its padding; the 1-99 % range where the quartiles agree."""
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if not sample.size:
        return 0.0, 0.0
    present, counts = np.unique(sample, return_counts=True)
    if len(present) > 1 and counts.max() > _PADDING * sample.size:
        sample = sample[sample != present[counts.argmax()]]
    low, first, median, third, high = np.percentile(sample, [1, 25, 50, 75, 99])
    return float(median), float(third - first or high - low)
