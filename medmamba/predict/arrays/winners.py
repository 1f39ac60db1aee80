"""Which label wins where, in a block of a volume: of all channels only those that can win are resampled at all.

Interpolation of order 0 and 1 stays between the least and the greatest of what it interpolates. So a channel whose
greatest logit in a block lies below the least of another cannot win there, and a region whose greatest logit is not
positive is not painted there. Rounding to float16 changes neither: it keeps order, and the logits are float16 already.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .linear import ROUGH, Taps, at, blend, rough

CHANNELS = 16
"""Of a block at a time: bounds memory where every channel may win."""


@dataclass(frozen=True)
class Block:
    """Some neighbouring voxels of the result and the logits that they follow from."""

    logits: Tensor
    """(C, a, b, c) on the network's grid, as float16."""
    axes: tuple[Taps, Taps, Taps]
    alone: int | None
    """The axis that is resampled on its own."""

    @property
    def unchanged(self) -> bool:
        """The logits are on the result's grid already."""
        return not any(axis.neighbours for axis in self.axes)

    def resampled(self, channels: Tensor | slice) -> Tensor:
        """Logits of some channels on the result's grid, rounded to float16, as float32 (channels, a', b', c')."""
        return blend(self.logits[channels], self.axes, self.alone).float()


def greatest(block: Block) -> Tensor | int:
    """Index of the greatest channel in each voxel of the resampled block, (a', b', c'); an int where it is one for all.

    The first channel wins ties; NaN is greatest, as in `numpy.argmax`.
    """
    flat = block.logits.flatten(1)
    high, low = flat.amax(1), flat.amin(1)
    candidates = torch.nonzero(~(high < low.max()))[:, 0]
    if len(candidates) == 1:
        return int(candidates)
    scale = float(torch.maximum(high.max(), -low.min()))
    if block.unchanged or not math.isfinite(scale):
        return _first_greatest(block, candidates)
    winner, contested = _first_guess(block, candidates, scale)
    voxels = contested.nonzero(as_tuple=True)
    if len(voxels[0]):
        exact = at(block.logits[candidates], block.axes, block.alone, voxels).float()
        winner[voxels] = candidates[exact.argmax(0)].to(winner.dtype)
    return winner


def _first_guess(block: Block, candidates: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The greatest channel by arithmetic that is fast, and where the second is too close to it to trust that."""
    best = second = winner = None
    for some in candidates.split(CHANNELS):
        for channel, values in zip(some.tolist(), rough(block.logits[some], block.axes), strict=True):
            if best is None or second is None or winner is None:
                best, second = values, torch.full_like(values, -math.inf)
                winner = torch.full_like(values, channel, dtype=torch.int16)
                continue
            second = torch.maximum(second, torch.minimum(best, values))
            winner.masked_fill_(values > best, channel)
            best = torch.maximum(best, values)
    assert best is not None and second is not None and winner is not None
    # rounding to float16 makes neighbours of one step equal; a step is at most 2^-10 of the value
    return winner, best - second <= best.abs() * 2**-9.9 + (2 * ROUGH * scale + 1e-7)


def _first_greatest(block: Block, candidates: Tensor) -> Tensor:
    """The greatest channel by nnU-Net's arithmetic."""
    best = winner = None
    for some in candidates.split(CHANNELS):
        value, index = block.resampled(some).max(0)
        index = some[index]
        if best is None or winner is None:
            best, winner = value, index
            continue
        better = (value > best) | (value.isnan() & ~best.isnan())
        best, winner = torch.where(better, value, best), torch.where(better, index, winner)
    assert winner is not None
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
