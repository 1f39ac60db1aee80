"""MIND with self-similarity context: what a voxel's surroundings look like, whatever the modality."""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from .windows import box_mean, masked_mean

_NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
PAIRS = tuple((a, b) for a, b in combinations(_NEIGHBOURS, 2) if any(x + y for x, y in zip(a, b, strict=True)))
"""The twelve pairs of the six neighbours that are not opposite each other: sqrt(2) apart."""


def _shifted(padded: Tensor, offset: tuple[int, int, int], reach: int) -> Tensor:
    for axis, step in enumerate(offset, start=2):
        padded = padded.narrow(axis, reach + step, padded.shape[axis] - 2 * reach)
    return padded


def mind_ssc(image: Tensor, radius: int = 2, dilation: int = 2) -> Tensor:
    """The descriptor of every voxel: twelve values in 0..1, each how alike two patches next to it are.

    Heinrich et al., MICCAI 2013: squared patch differences D of the pairs of neighbours, then
    ``exp(-(D - smallest of the twelve) / their mean)``; that mean is kept within 0.001 and 1000 times its average over
    the image. Patches are boxes of 2 * `radius` + 1 voxels a side, neighbours `dilation` voxels away, edges repeated.

    (B, 1, X, Y, Z) -> (B, 12, X, Y, Z).
    """
    reach = dilation + radius
    padded = F.pad(image, [reach] * 6, mode="replicate")
    distances = []
    for first, second in PAIRS:
        a, b = ([dilation * step for step in offset] for offset in (first, second))
        difference = _shifted(padded, (a[0], a[1], a[2]), dilation) - _shifted(padded, (b[0], b[1], b[2]), dilation)
        box = box_mean(difference**2, 2 * radius + 1)
        distances.append(_shifted(box, (0, 0, 0), radius))
    stacked = torch.cat(distances, dim=1)
    stacked = stacked - stacked.amin(1, keepdim=True)
    noise = stacked.mean(1, keepdim=True)
    average = noise.detach().mean().clamp_min(torch.finfo(noise.dtype).tiny)
    return torch.exp(-stacked / noise.clamp(average * 1e-3, average * 1e3))


def mind(fixed: Tensor, warped: Tensor, mask: Tensor | None = None, radius: int = 2, dilation: int = 2) -> Tensor:
    """Mean squared difference of the two images' MIND-SSC descriptors (see `mind_ssc`).

    fixed, warped: (B, 1, X, Y, Z). mask: (B or 1, 1, X, Y, Z), the voxels that count.
    """
    difference = mind_ssc(fixed, radius, dilation) - mind_ssc(warped, radius, dilation)
    return masked_mean(difference**2, mask)
