"""MambaMorph's contrastive loss on learnt features: voxels of one label alike, in both images."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_TEMPERATURE = 0.25


def _drawn(features: Tensor, labels: Tensor, kept: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Up to `most` random voxels with a kept label: (N, C) unit features and (N,) their places in `kept`."""
    index = (labels.flatten()[:, None] == kept).nonzero()
    if len(index) > most:
        index = index[torch.randperm(len(index), device=index.device)[:most]]
    return F.normalize(features.flatten(1).T[index[:, 0]], dim=1), index[:, 1]


def _anchors(sides: Sequence[tuple[Tensor, Tensor]], labels: int) -> Tensor:
    """(labels, C): the unit mean of the sides' mean features; where one side lacks the label, the other's alone."""
    means, there = [], []
    for features, which in sides:
        member = F.one_hot(which, labels).to(features.dtype)
        count = member.sum(0)
        means.append(member.T @ features / count.clamp_min(1)[:, None])
        there.append((count > 0).to(features.dtype)[:, None])
    mean = torch.stack(means).sum(0) / torch.stack(there).sum(0).clamp_min(1)
    return F.normalize(mean, dim=1)


def _pair(moving: tuple[Tensor, Tensor], fixed: tuple[Tensor, Tensor], kept: Tensor, most: int) -> Tensor:
    sides = [_drawn(features, labels, kept, most) for features, labels in (moving, fixed)]
    anchors = _anchors(sides, len(kept))
    features, which = (torch.cat(part) for part in zip(*sides, strict=True))
    present = torch.bincount(which, minlength=len(kept)) > 0
    logits = features @ anchors.T / _TEMPERATURE
    own = logits.gather(1, which[:, None])
    # As in the original, a voxel's own anchor counts twice among its rivals. Labels that no side has are no rivals.
    rivals = torch.cat([own, logits.masked_fill(~present, -torch.inf)], dim=1)
    return (torch.logsumexp(rivals, dim=1) - own[:, 0]).sum() / max(len(which), 1)


def contrastive(
    feature: Tensor, labels_moving: Tensor, labels_fixed: Tensor, kept: Sequence[int], most: int = 10_000
) -> Tensor:
    """Cross-entropy of each labelled voxel's feature against one anchor a label, over the voxels of both images.

    The original's term with its defect mended: there a label that only one image has makes the loss NaN; here its
    anchor comes from the image that has it. Without a labelled voxel the loss is 0 (and its gradient too).

    Parameters
    ----------
    feature: (B, 2C, *spatial): C channels of the moving image, then C of the fixed one.
    labels_moving, labels_fixed: (B or none, *spatial times k) integers; every k-th voxel of each axis is taken.
    kept: the label values that take part. most: voxels drawn at random in each image, with torch's generator.
    """
    halves = feature.chunk(2, dim=1)
    spatial = feature.shape[2:]
    maps = []
    for labels in (labels_moving, labels_fixed):
        labels = labels.reshape(-1, *labels.shape[-len(spatial) :])
        step = [slice(None, None, round(n / s)) for n, s in zip(labels.shape[1:], spatial, strict=True)]
        maps.append(labels[(slice(None), *step)].expand(len(feature), *spatial))
    values = torch.as_tensor(list(kept), device=feature.device)
    losses = [
        _pair((m, labels_m), (f, labels_f), values, most)
        for m, f, labels_m, labels_f in zip(*halves, *maps, strict=True)
    ]
    return torch.stack(losses).mean()
