"""One image in the contrast of the other: what lets two contrasts be compared by correlation.

Once a pair is roughly aligned, the mean of one image where the other has some value is a curve; read through it, the
other image looks like the first (the model behind the correlation ratio, Roche et al. 1998). It need not rise.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..intensity import same_contrast
from .fields import sample
from .sides import Sides

_BINS = 64
_SMOOTH = 1.5
"""Bins by which a curve is smoothed."""
_DARK = 0.03
"""What is darker in both images is background: it would outweigh all tissue."""
_WHOLE = 0.99


def alike(sides: Sides, displacement: Tensor) -> Sides | None:
    """The sides with one image in the other's contrast, whichever way makes the tissue more alike.

    displacement: (1, 3, X, Y, Z), voxels, aligns the sides roughly. None where no single curve makes them alike.
    """
    moved = sample(sides.moving, displacement)
    inside = _inside(sides, displacement)
    fixed, moving, known = (part[0, 0].cpu().numpy() for part in (sides.fixed, moved, inside))
    tissue = known & ((fixed > _DARK) | (moving > _DARK))
    if tissue.sum() < _BINS:
        return None
    ahead, back = curve(fixed[tissue], moving[tissue]), curve(moving[tissue], fixed[tissue])
    ways = (
        (same_contrast(_through(ahead, fixed), moving, known), replace(sides, fixed=_read(ahead, sides.fixed))),
        (same_contrast(fixed, _through(back, moving), known), replace(sides, moving=_read(back, sides.moving))),
    )
    (same, _), found = max(ways, key=lambda way: way[0])
    return found if same else None


def curve(values: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """(bins,): the mean of `others` (N,) where `values` (N,), both 0..1, are that of the bin; smooth."""
    position = values.astype(np.float64) * (_BINS - 1)
    below = np.clip(position.astype(np.int64), 0, _BINS - 2)
    share = position - below
    count, total = np.zeros(_BINS), np.zeros(_BINS)
    for at, weight in ((below, 1 - share), (below + 1, share)):
        count += np.bincount(at, weight, _BINS)
        total += np.bincount(at, weight * others, _BINS)
    count, total = (ndimage.gaussian_filter1d(part, _SMOOTH, mode="constant") for part in (count, total))
    filled = count > 0
    return np.interp(np.arange(_BINS), np.flatnonzero(filled), total[filled] / count[filled])


def _through(table: NDArray[np.float64], image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.interp(image, np.linspace(0, 1, _BINS), table).astype(np.float32)


def _read(table: NDArray[np.float64], image: Tensor) -> Tensor:
    return torch.from_numpy(_through(table, image.cpu().numpy())).to(image.device)


def _inside(sides: Sides, displacement: Tensor) -> Tensor:
    """(1, 1, X, Y, Z) bool: where both images are known."""
    inside = torch.ones_like(sides.fixed, dtype=torch.bool)
    if sides.fixed_mask is not None:
        inside &= sides.fixed_mask > 0
    if sides.moving_mask is not None:
        inside &= sample(sides.moving_mask, displacement) > _WHOLE
    return inside
