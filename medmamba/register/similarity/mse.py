"""Mean squared difference: images of one modality on one scale, or learnt features."""

from torch import Tensor

from .windows import masked_mean


def mse(fixed: Tensor, warped: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference of (B, C, *spatial), over the voxels of `mask` (B or 1, 1, *spatial) if given."""
    return masked_mean((fixed - warped) ** 2, mask)
