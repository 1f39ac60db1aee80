"""Which label wins where, in a block of a volume: of all channels only those that can win are resampled at all.

Interpolation of order 0 and 1 stays between the least and the greatest of what it interpolates. So a channel whose
greatest logit in a block lies below the least of another cannot win there, and a region whose greatest logit is not
positive is not painted there. Rounding to float16 changes neither: it keeps order, and the logits are float16 already.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .linear import Taps, blend

_CHANNELS = 16  # of a block at a time: bounds memory where every channel may win


@dataclass(frozen=True)
class Block:
    """Some neighbouring voxels of the result and the logits that they follow from."""

    logits: Tensor
    """(C, a, b, c) on the network's grid, as float16."""
    axes: tuple[Taps, Taps, Taps]
    alone: int | None
    """The axis that is resampled on its own."""

    def resampled(self, channels: Tensor | slice) -> Tensor:
        """Logits of some channels on the result's grid, rounded to float16, as float32 (channels, a', b', c')."""
        return blend(self.logits[channels], self.axes, self.alone).float()


def greatest(block: Block) -> Tensor | int:
    """Index of the greatest channel in each voxel of the resampled block, int64 (a', b', c'); an int where it is one.

    The first channel wins ties; NaN is greatest, as in `numpy.argmax`.
    """
    flat = block.logits.flatten(1)
    candidates = torch.nonzero(~(flat.amax(1) < flat.amin(1).max()))[:, 0]
    if len(candidates) == 1:
        return int(candidates)
    best = winner = None
    for some in candidates.split(_CHANNELS):
        value, index = block.resampled(some).max(0)
        index = some[index]
        if best is None or winner is None:
            best, winner = value, index
            continue
        better = (value > best) | (value.isnan() & ~best.isnan())
        best, winner = torch.where(better, value, best), torch.where(better, index, winner)
    assert winner is not None  # the greatest minimum's own channel is always a candidate
    return winner


def painted(block: Block, order: Sequence[int]) -> Tensor | int:
    """Values of regions painted over each other in `order`, where the sigmoid exceeds one half; int64 (a', b', c')."""
    candidates = torch.nonzero(~(block.logits.flatten(1).amax(1) <= 0))[:, 0].tolist()
    if not candidates:
        return 0
    labels: Tensor | None = None
    for channel in candidates:
        inside = block.resampled(slice(channel, channel + 1))[0].sigmoid() > 0.5
        if labels is None:
            labels = torch.zeros(inside.shape, dtype=torch.int64, device=inside.device)
        labels.masked_fill_(inside, order[channel])
    assert labels is not None
    return labels


def probabilities(block: Block, regions: Sequence[int] | None) -> tuple[Tensor, Tensor]:
    """(label values (a', b', c'), probabilities (C, a', b', c') float32): softmax, or sigmoid where there are regions.

    nnU-Net takes the label from the probabilities where it saves them: channels that softmax makes equal are ties.
    """
    logits = block.resampled(slice(None))
    if regions is None:
        shares = logits.softmax(0)
        return shares.argmax(0), shares
    shares = logits.sigmoid()
    labels = torch.zeros(shares.shape[1:], dtype=torch.int64, device=shares.device)
    for value, channel in zip(regions, shares, strict=True):
        labels.masked_fill_(channel > 0.5, value)
    return labels, shares
