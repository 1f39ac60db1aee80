"""Local normalised cross-correlation: images of one modality under any slow change of brightness."""

import torch
from torch import Tensor

from .windows import box_mean, masked_mean

_LEAST = 0.05
"""Share of a window that a mask fills at least, to keep its mean from being one voxel's."""
_NOISE = 1e-6
"""Product of variances (of intensities in 0..1) under which a window has no structure."""


def lncc(fixed: Tensor, warped: Tensor, mask: Tensor | None = None, window: int = 9, epsilon: float = 1e-5) -> Tensor:
    """Minus the mean squared correlation inside boxes of `window` voxels a side: -1 where alike, 0 where not.

    VoxelMorph's definition (Avants et al. 2008 before it): zeros outside the image, every window counts all its voxels,
    ``cross^2 / (variance * variance + epsilon)`` of sums over the window.

    fixed, warped: (B, C, *spatial). mask: (B or 1, 1, *spatial), the voxels that count. Then a window has the voxels
    inside the mask alone: neither the edge of a crop nor a hole in it looks like structure. `epsilon` is for windows
    without a mask; with one, what varies less than noise counts little.
    """
    if mask is not None:
        return _masked(fixed, warped, mask.to(fixed.dtype), window)
    count = float(window ** (fixed.dim() - 2))
    products = torch.cat([fixed, warped, fixed * fixed, warped * warped, fixed * warped], dim=1)
    f, w, ff, ww, fw = box_mean(products, window).chunk(5, dim=1)
    cross, variance_f, variance_w = fw - f * w, ff - f * f, ww - w * w
    correlation = count**2 * cross * cross / (count**2 * variance_f * variance_w + epsilon)
    return -correlation.mean()


def _masked(fixed: Tensor, warped: Tensor, mask: Tensor, window: int) -> Tensor:
    products = torch.cat([fixed, warped, fixed * fixed, warped * warped, fixed * warped], dim=1)
    sums = box_mean(products * mask, window) / box_mean(mask, window).clamp_min(_LEAST)
    f, w, ff, ww, fw = sums.chunk(5, dim=1)
    cross, variance_f, variance_w = fw - f * w, (ff - f * f).clamp_min(0), (ww - w * w).clamp_min(0)
    return -masked_mean(cross * cross / (variance_f * variance_w + _NOISE), mask)
