"""Normalised mutual information: images of different modalities whose grey values depend on each other everywhere."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_CHUNK = 2**18
"""Voxels whose window weights are held at a time: 64 values each at 32 bins."""


def _weights(values: Tensor, bins: int) -> Tensor:
    """(N,) values in 0..1 -> (N, bins): cubic B-spline windows; one bin of room at either end, so they sum to 1."""
    position = values.clamp(0, 1) * (bins - 3) + 1
    distance = (position[:, None] - torch.arange(bins, dtype=values.dtype, device=values.device)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp_min(0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def _counts(fixed: Tensor, warped: Tensor, weight: Tensor, bins: int) -> Tensor:
    return (_weights(fixed, bins) * weight[:, None]).T @ _weights(warped, bins)


def _entropy(probability: Tensor) -> Tensor:
    return -torch.xlogy(probability, probability.clamp_min(torch.finfo(probability.dtype).tiny)).sum()


def nmi(fixed: Tensor, warped: Tensor, mask: Tensor | None = None, bins: int = 32) -> Tensor:
    """Minus (H(fixed) + H(warped)) / H(fixed, warped): -2 where one tells the other, -1 where it tells nothing.

    Studholme et al. 1999, with cubic B-spline Parzen windows for both images (Mattes et al. 2003 use one), so that the
    value changes smoothly with either. A batch makes one histogram. Memory stays flat in the number of voxels: the
    windows are computed again for the gradient.

    fixed, warped: (B, 1, *spatial), values in 0..1 (clipped). mask: (B or 1, 1, *spatial), the voxels that count.
    """
    weight = torch.ones_like(fixed) if mask is None else mask.to(fixed.dtype).expand_as(fixed)
    flat = [x.flatten().split(_CHUNK) for x in (fixed, warped, weight)]
    counts = [checkpoint(_counts, f, w, m, bins, use_reentrant=False) for f, w, m in zip(*flat, strict=True)]
    joint = torch.stack(counts).sum(0)
    joint = joint / joint.sum().clamp_min(torch.finfo(joint.dtype).tiny)
    return -(_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / _entropy(joint).clamp_min(1e-6)
