"""Intensities made comparable: CT and MR scaled to 0..1, and whether two images show tissue in the same contrast."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .pair.options import Modality

CT_RANGE = (-1000.0, 1000.0)
_AIR = -500.0
_MOST_VOXELS = 2_000_000
"""Enough for percentiles and for local correlations."""
_WINDOW = 5
_BACKGROUND = 0.03
_SAME = 0.45
"""Share of the local correlation that is positive, from which on two contrasts are the same. Real pairs of one contrast
have 0.47 (ill aligned) to 0.98, T1 with T2 0.28, a contrast that was remapped or turned round -1 to -0.1."""


@dataclass(frozen=True)
class Scheme:
    """How one image is scaled to 0..1."""

    modality: Modality
    low: float
    high: float
    reason: str
    """Why, in words."""

    def scaled(self, data: NDArray[Any]) -> NDArray[np.float32]:
        """float32 in 0..1."""
        values = (data.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.clip(values, 0, 1, out=values)

    @property
    def outside(self) -> float:
        """The value of what lies outside the image: air in CT, the darkest in MR."""
        return self.low


def scheme_of(data: NDArray[Any], modality: Modality = "auto") -> Scheme:
    """The scheme for an image: CT -1000..1000 HU, MR minimum..99th percentile (the choices of uniGradICON).

    auto: an image with at least 1 % of its voxels below -500 is CT, for nothing but air has such values there.
    """
    sample = thinned(data)
    reason = f"as asked: {modality.upper()}"
    if modality == "auto":
        air = float(np.mean(sample < _AIR))
        modality = "ct" if air >= 0.01 else "mri"
        reason = f"{air:.0%} of the voxels lie below {_AIR:.0f}: {'CT' if modality == 'ct' else 'no CT, taken for MR'}"
    if modality == "ct":
        return Scheme("ct", *CT_RANGE, reason)
    low, high = float(data.min()), float(np.percentile(sample, 99))
    if high <= low:  # nearly all of it is background
        high = float(data.max())
    return Scheme("mri", low, high, reason)


def thinned(data: NDArray[Any]) -> NDArray[Any]:
    """A part of a volume's voxels, flat and evenly spread, where it has very many."""
    return data.reshape(-1)[:: max(1, data.size // _MOST_VOXELS)]


def is_constant(data: NDArray[Any], scheme: Scheme) -> bool:
    """Whether there is nothing to be seen in an image that is scaled so."""
    low, high = float(data.min()), float(data.max())
    return not min(high, scheme.high) > max(low, scheme.low)


def same_contrast(
    fixed: NDArray[np.float32], moving: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[bool, float]:
    """Whether two roughly aligned images show tissue in the same contrast, and the share that speaks for it, -1..1.

    The share is the sum of the local correlations over the sum of their sizes, in windows of 5 voxels that lie inside
    and hold no background: the outline of a head looks alike in every contrast and must not decide.

    Parameters
    ----------
    fixed, moving: (X, Y, Z), both 0..1. inside: where both are known.
    """
    step = max(1, round((fixed.size / _MOST_VOXELS) ** (1 / 3)))
    thin = (slice(None, None, step),) * 3
    f, m, known = fixed[thin], moving[thin], inside[thin]

    def mean(image: NDArray[Any]) -> NDArray[np.float32]:
        smooth: NDArray[np.float32] = ndimage.uniform_filter(image, _WINDOW, mode="nearest")
        return smooth

    mean_f, mean_m = mean(f), mean(m)
    both = mean(f * m) - mean_f * mean_m
    spread = np.sqrt(np.maximum(mean(f * f) - mean_f**2, 0) * np.maximum(mean(m * m) - mean_m**2, 0))
    whole = ndimage.minimum_filter(known.astype(np.uint8), _WINDOW) > 0
    darkest = np.minimum(ndimage.minimum_filter(f, _WINDOW), ndimage.minimum_filter(m, _WINDOW))
    tissue = whole & (darkest > _BACKGROUND)
    if tissue.sum() < max(100, 0.02 * whole.sum()):
        tissue = whole
    sizes = np.abs(both[tissue]).sum()
    if not tissue.any() or sizes <= 0.01 * spread[tissue].sum():
        return False, 0.0  # nothing to go by
    share = float(both[tissue].sum() / sizes)
    return share >= _SAME, share
