"""Separable windows and masked means that the similarities share."""

import torch
from torch import Tensor


def along_axes(x: Tensor, matrices: list[Tensor]) -> Tensor:
    """Apply a matrix (new, old) along each spatial axis of (B, C, *spatial): many times faster on a CPU than pooling.

    For windows of a few voxels too, whose matrices are mostly zeros: a matrix product uses the whole machine, and its
    gradient is one more.
    """
    for axis, matrix in enumerate(matrices, start=2):
        if axis == x.dim() - 1:
            x = x @ matrix.T
        else:
            shape = (*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :])
            x = (matrix @ x.flatten(axis + 1)).view(shape)
    return x


def box_mean(x: Tensor, window: int) -> Tensor:
    """Mean over a box of `window` voxels a side around each voxel, zeros outside counted in: one axis after the other.

    (B, C, *spatial) for two or three axes, `window` odd -> the same shape.
    """
    matrices = []
    for size in x.shape[2:]:
        at = torch.arange(size, device=x.device)
        matrices.append(((at[:, None] - at).abs() <= window // 2).to(x.dtype) / window)
    return along_axes(x, matrices)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of `values` (B, C, *spatial), weighted by `mask` (B or 1, 1, *spatial) if given; 0 where it is empty."""
    if mask is None:
        return values.mean()
    if mask.shape[1] == 1:
        values = values.mean(1, keepdim=True)  # one pass over all channels instead of several
    weight = mask.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(values.dtype).tiny)
