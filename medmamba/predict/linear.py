"""Interpolation of order 0 and 1 in small blocks, with SciPy's own order of operations: the same float64, bit by bit.

A logit that lies halfway between two float16 numbers is rounded up or down by the last bit of the float64 that comes
before it, and one such voxel in some thousands decides a label. So the eight neighbours are multiplied and summed here
in the order in which `scipy.ndimage.zoom` does it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .axes import Run

_LOST = (1 << 29) - 1  # bits of a float64's significand that float32 has no room for


Neighbours = tuple[tuple[Tensor, Tensor], ...]
"""(index, weight) of the one or two inputs that each output along an axis is mixed from, (n_out,) each."""


@dataclass(frozen=True)
class Taps:
    """What a run of outputs along an axis follows from."""

    start: int
    stop: int
    """Half-open range of the outputs."""
    first: int
    last: int
    """Half-open range of the inputs that they depend on."""
    neighbours: Neighbours
    """Indices count from `first` on. None where the samples stay what they are."""


def taps(run: Run, device: torch.device) -> Taps:
    """The neighbours of a run of outputs, of order 0 or 1."""
    if run.weights is None:
        return Taps(run.start, run.stop, run.first, run.last, ())
    used = (run.weights != 0).to(torch.uint8)
    lower, upper = used.argmax(1), used.shape[1] - 1 - used.flip(1).argmax(1)
    pairs = [(lower, run.weights.gather(1, lower[:, None])[:, 0])]
    if (upper > lower).any():
        pairs.append((upper, torch.where(upper > lower, run.weights.gather(1, upper[:, None])[:, 0], 0.0)))
    neighbours = tuple((index.to(device), weight.to(device)) for index, weight in pairs)
    return Taps(run.start, run.stop, run.first, run.last, neighbours)


def blend(block: Tensor, axes: Sequence[Taps], alone: int | None) -> Tensor:
    """A block (C, a, b, c) of float16 logits resampled to (C, a', b', c'), computed in float64, rounded to float16.

    Parameters
    ----------
    block: the inputs first..last-1 of each axis.
    axes: neighbours along a, b and c.
    alone: the axis that is resampled on its own, after the two others; None: all together.
    """
    steps = [[i for i in range(3) if i != alone], [] if alone is None else [alone]]
    mixed = block
    for step in steps:
        changing = [(i + 1, axes[i].neighbours) for i in step if axes[i].neighbours]
        if changing:
            mixed = _mix(mixed.double(), changing)
    return mixed if mixed is block else to_half(mixed)


def _mix(block: Tensor, changing: Sequence[tuple[int, Neighbours]]) -> Tensor:
    """The weighted sum of all combinations of neighbours along the axes `changing`, the last axis's running fastest."""
    *outer, (dim, neighbours) = changing
    shape = [-1 if i == dim else 1 for i in range(block.ndim)]
    ahead = torch.stack([block.index_select(dim, index) for index, _ in neighbours])
    weights = torch.stack([weight.view(shape) for _, weight in neighbours])
    total: Tensor | None = None
    for terms in _terms(ahead, outer):
        terms *= weights
        for term in terms:
            total = term if total is None else total.add_(term)
    assert total is not None
    return total


def _terms(values: Tensor, outer: Sequence[tuple[int, Neighbours]]) -> Iterator[Tensor]:
    """`values` (n, C, a, b, c) gathered and weighted along the axes `outer`; each result may be overwritten."""
    if not outer:
        yield values
        return
    (dim, neighbours), *rest = outer
    shape = [-1 if i == dim + 1 else 1 for i in range(values.ndim)]
    for index, weight in neighbours:
        yield from _terms(values.index_select(dim + 1, index).mul_(weight.view(shape)), rest)


def to_half(values: Tensor) -> Tensor:
    """float64 rounded to float16 once, as NumPy does. `values` are overwritten.

    torch goes by way of float32 and so rounds twice. The first rounding is made harmless: truncate, and set the last
    bit that is kept wherever one was lost ("round to odd").
    """
    bits = values.view(torch.int64)
    rest = bits & _LOST
    rest += _LOST
    bits |= rest
    bits &= ~_LOST
    return values.half()
