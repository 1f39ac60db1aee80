"""Linear maps of a volume that work along one axis after the other: windows, Gaussians."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def along_axes(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
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


def smooth(x: Tensor, sigma: Sequence[float]) -> Tensor:
    """Gaussian smoothing of (B, C, *spatial) by `sigma` voxels along each axis, the edge repeated outside."""
    matrices = []
    for size, width in zip(x.shape[2:], sigma, strict=True):
        at = torch.arange(size, device=x.device)
        reach = int(3 * width + 0.5)
        matrix = torch.zeros(size, size, dtype=x.dtype, device=x.device)
        for step in range(-reach, reach + 1):
            weight = matrix.new_tensor(math.exp(-0.5 * (step / max(width, 1e-6)) ** 2))
            matrix.index_put_((at, (at + step).clamp(0, size - 1)), weight, accumulate=True)
        matrices.append(matrix / matrix.sum(1, keepdim=True))
    return along_axes(x, matrices)
