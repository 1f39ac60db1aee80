"""Interpolation of order 0 and 1 in small blocks, with SciPy's own order of operations: the same float64, bit by bit.

A logit that lies halfway between two float16 numbers is rounded up or down by the last bit of the float64 that comes
before it, and one such voxel in some thousands decides a label. So the eight neighbours are multiplied and summed here
in the order in which `scipy.ndimage.zoom` does it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from .axes import Axis, Run

ROUGH = 1e-5
"""How far `rough` may be from the truth, in parts of a block's greatest magnitude; found to be below a tenth of it."""
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
    matrix: Tensor | None
    """The same as (stop - start, last - first) weights, in the number format of `rough`."""


def taps(axis: Axis, run: Run, device: torch.device) -> Taps:
    """The neighbours of a run of outputs along an axis of order 0 or 1."""
    if run.weights is None:
        return Taps(run.start, run.stop, run.first, run.last, (), None)
    pairs: tuple[tuple[Tensor, Tensor], ...]
    if axis.order == 0:
        nearest = run.weights.argmax(1)
        pairs = ((nearest, torch.ones(len(nearest), dtype=torch.float64)),)
    else:
        n_out, n_in = axis.weights.shape
        # beyond the ends both neighbours are the last sample, each with its share: a sum may miss the sample by a bit
        position = (torch.arange(run.start, run.stop, dtype=torch.float64) + 0.5) * (n_in / n_out) - 0.5
        below = position.floor()
        share = position - below
        lower = (below.long() - run.first).clamp(0, run.last - run.first - 1)
        upper = (below.long() + 1 - run.first).clamp(0, run.last - run.first - 1)
        pairs = ((lower, 1 - share), (upper, share))
    neighbours = tuple((index.to(device), weight.to(device)) for index, weight in pairs)
    # float32 matrix products of a GPU may be TF32, which is too rough
    matrix = run.weights.to(device, torch.float32 if device.type == "cpu" else torch.float64)
    return Taps(run.start, run.stop, run.first, run.last, neighbours, matrix)


def rough(block: Tensor, axes: Sequence[Taps]) -> Tensor:
    """A block (C, a, b, c) of logits resampled by matrix products to (C, a', b', c'): fast, but not exact."""
    matrices = [axis.matrix for axis in axes]
    block = block.to(next((matrix.dtype for matrix in matrices if matrix is not None), torch.float32))
    if matrices[2] is not None:
        block = block @ matrices[2].T
    if matrices[1] is not None:
        block = matrices[1] @ block
    if matrices[0] is not None:
        block = (matrices[0] @ block.flatten(2)).unflatten(2, block.shape[2:])
    return block.float()


def at(block: Tensor, axes: Sequence[Taps], alone: int | None, voxels: Sequence[Tensor]) -> Tensor:
    """`blend` at some voxels of the result only.

    Parameters
    ----------
    block, axes, alone: as for `blend`.
    voxels: indices along a', b' and c', (n,) each.

    Returns (C, n) float16.
    """
    ones = torch.ones(len(voxels[0]), dtype=torch.float64, device=block.device)
    every = [
        [(index[voxel], weight[voxel]) for index, weight in axis.neighbours] or [(voxel, ones)]
        for axis, voxel in zip(axes, voxels, strict=True)
    ]
    slices: list[tuple[Tensor | None, Tensor]] = [(None, ones)]
    if alone is not None:
        slices = [*every.pop(alone)]
    total: Tensor | float = 0.0
    for slice_index, slice_weight in slices:
        inside: Tensor | float = 0.0
        for combination in product(*every):
            indices = [index for index, _ in combination]
            if alone is not None and slice_index is not None:
                indices.insert(alone, slice_index)
            value = block[:, indices[0], indices[1], indices[2]].double()
            for _, weight in combination:
                value = value * weight
            inside = inside + value
        total = total + inside * slice_weight
    assert isinstance(total, Tensor)
    return to_half(total)


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
