"""Local normalised cross-correlation: images of one modality under any slow change of brightness."""

import torch
from torch import Tensor

from .windows import box_mean, masked_mean


def lncc(fixed: Tensor, warped: Tensor, mask: Tensor | None = None, window: int = 9, epsilon: float = 1e-5) -> Tensor:
    """Minus the mean squared correlation inside boxes of `window` voxels a side: -1 where alike, 0 where not.

    VoxelMorph's definition (Avants et al. 2008 before it): zeros outside the image, every window counts all its voxels,
    ``cross^2 / (variance * variance + epsilon)`` of sums over the window.

    fixed, warped: (B, C, *spatial). mask: (B or 1, 1, *spatial), the voxels that count as centres of a window.
    """
    count = float(window ** (fixed.dim() - 2))
    products = torch.cat([fixed, warped, fixed * fixed, warped * warped, fixed * warped], dim=1)
    f, w, ff, ww, fw = box_mean(products, window).chunk(5, dim=1)
    cross, variance_f, variance_w = fw - f * w, ff - f * f, ww - w * w
    correlation = count**2 * cross * cross / (count**2 * variance_f * variance_w + epsilon)
    return -masked_mean(correlation, mask)
