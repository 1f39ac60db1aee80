"""Box windows and masked means that the similarities share."""

import torch
from torch import Tensor
from torch.nn import functional as F


def box_mean(x: Tensor, window: int) -> Tensor:
    """Mean over a box of `window` voxels a side around each voxel, zeros outside counted in: one axis after the other.

    (B, C, *spatial) for two or three axes, `window` odd -> the same shape.
    """
    for axis in range(2, x.dim()):
        kernel = [window if a == axis else 1 for a in range(2, x.dim())]
        pool = F.avg_pool3d if x.dim() == 5 else F.avg_pool2d
        x = pool(x, kernel, stride=1, padding=[k // 2 for k in kernel])
    return x


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of `values` (B, C, *spatial), weighted by `mask` (B or 1, 1, *spatial) if given; 0 where it is empty."""
    if mask is None:
        return values.mean()
    weight = mask.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(values.dtype).tiny)
