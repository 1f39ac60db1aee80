"""nnU-Net's usual resampling of images and logits, fast and in little memory: equal to
`nnunetv2.preprocessing.resampling.default_resampling.resample_data_or_seg_to_shape` with `is_seg=False` up to the
rounding of its float64 arithmetic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .axes import Axis, apply, axis
from .recipe import Resampling

ANISOTROPY = 3
"""How many times as coarse as the finest an axis must be for nnU-Net to resample it on its own."""
_ROWS = 16  # rows of the output at a time: enough for the matrix products to run well


def new_shape(shape: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float]) -> tuple[int, ...]:
    """Voxels along each axis on a grid of `new_spacing` that covers the same millimetres, rounded as nnU-Net does."""
    return tuple(round(old / new * size) for old, new, size in zip(spacing, new_spacing, shape, strict=True))


def separate_axis(spacing: Sequence[float], new_spacing: Sequence[float], how: Resampling) -> int | None:
    """The axis that nnU-Net resamples on its own, with `how.order_z`; None where all are treated alike.

    The coarsest axis of the first of the two grids that is anisotropic, unless two axes are as coarse as each other.
    """
    if how.force_separate_z is False:
        return None
    if how.force_separate_z:
        return _coarsest(spacing)
    for candidate in (spacing, new_spacing):
        if max(candidate) / min(candidate) > ANISOTROPY:
            return _coarsest(candidate)
    return None


def _coarsest(spacing: Sequence[float]) -> int | None:
    axes = [i for i, step in enumerate(spacing) if max(spacing) / step == 1]
    return axes[0] if len(axes) == 1 else None


@dataclass(frozen=True)
class Plan:
    """How a grid becomes another: which axis goes row by row, and the weights of each."""

    row_axis: int
    """The axis along which rows stream: the one that is resampled on its own, else the first."""
    separate: bool
    """Rows are clipped one by one, then interpolated without a clip."""
    axes: tuple[Axis, Axis, Axis]
    """Of the row axis, then of the two within a row."""
    clips: bool
    """Splines of order 2 and more overshoot and are clipped to the range of their input."""

    @property
    def identity(self) -> bool:
        """Nothing changes."""
        return all(part.identity for part in self.axes)


def plan(
    shape: Sequence[int],
    new: Sequence[int],
    spacing: Sequence[float],
    new_spacing: Sequence[float],
    how: Resampling,
) -> Plan:
    """What resampling from `shape` at `spacing` to `new` at `new_spacing` takes (three axes each)."""
    separate = separate_axis(spacing, new_spacing, how)
    row_axis = 0 if separate is None else separate
    a, b = (i for i in range(3) if i != row_axis)
    row = (
        axis(shape[row_axis], new[row_axis], how.order)
        if separate is None
        else axis(shape[row_axis], new[row_axis], how.order_z, "coordinates")
    )
    within = axis(shape[a], new[a], how.order), axis(shape[b], new[b], how.order)
    return Plan(row_axis, separate is not None, (row, *within), how.order > 1)


def resample(
    data: NDArray[np.floating],
    shape: Sequence[int],
    spacing: Sequence[float],
    new_spacing: Sequence[float],
    how: Resampling,
    out: NDArray[np.floating] | None = None,
) -> NDArray[np.floating]:
    """`data` (C, *size) on a grid of `shape` voxels, in `data`'s dtype; `data` itself where the shape stays.

    Parameters
    ----------
    data: three axes behind the channels; may be a strided or memory-mapped view.
    shape: voxels of the result.
    spacing, new_spacing: mm before and after; they only decide whether an axis is resampled on its own.
    how: orders and that decision.
    out: where to write, of shape (C, *shape); made when None.

    Computed in float64, a few rows at a time: memory beyond input and output is some rows.
    """
    shape = tuple(int(size) for size in shape)
    if data.shape[1:] == shape:
        if out is None:
            return data
        out[...] = data
        return out
    if out is None:
        out = np.empty((len(data), *shape), data.dtype)
    how_to = plan(data.shape[1:], shape, spacing, new_spacing, how)
    for channel, target in zip(data, out, strict=True):
        rows_in, rows_out = (np.moveaxis(array, how_to.row_axis, 0) for array in (channel, target))
        low, high = _range(channel) if how_to.clips and not how_to.separate else (None, None)
        streamed = RowResampler(how_to)
        for start in range(0, len(rows_in), _ROWS):
            rows = torch.from_numpy(np.ascontiguousarray(rows_in[start : start + _ROWS]))
            for first, values in streamed.feed(rows):
                if low is not None:
                    values.clamp_(low, high)
                rows_out[first : first + len(values)] = values.numpy()
    return out


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    """Least and greatest value, NaN left out where there is any."""
    low = float(values.min())
    if np.isnan(low):
        return float(np.nanmin(values)), float(np.nanmax(values))
    return low, float(values.max())


class RowResampler:
    """Resamples a volume whose rows arrive in order: each output row is given as soon as its inputs are there.

    Parameters
    ----------
    how_to: of the whole volume, with its row axis first. What a spline overshoots is clipped here only where rows are
        clipped one by one; else that is the caller's, who alone knows the range of all rows.
    """

    def __init__(self, how_to: Plan) -> None:
        self.how_to = how_to
        self.held: list[Tensor] = []  # rows resampled within themselves, float64, from `start` on
        self.start = 0
        self.arrived = 0
        self.given = 0

    def feed(self, rows: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Take (rows, a, b); yield (index of the first output row, output rows (n, a', b') in float64)."""
        self.held.extend(self._within(rows))
        self.arrived += len(rows)
        row = self.how_to.axes[0]
        ready = int(np.searchsorted(row.stop, self.arrived, side="right"))
        while self.given < ready:
            stop = min(self.given + _ROWS, ready)
            first, last = row.needs(self.given, stop)
            del self.held[: first - self.start]
            self.start = first
            stack = torch.stack(self.held[: last - first])
            weights = row.weights[self.given : stop, first:last]
            yield self.given, stack if row.identity else (weights @ stack.flatten(1)).view(-1, *stack.shape[1:])
            self.given = stop

    def _within(self, rows: Tensor) -> Tensor:
        """(n, a, b) -> (n, a', b'), clipped row by row where rows are on their own."""
        _, first, second = self.how_to.axes
        inside = apply(first, apply(second, rows, 2), 1)
        if self.how_to.separate and self.how_to.clips and not (first.identity and second.identity):
            for source, target in zip(rows, inside, strict=True):
                target.clamp_(*_range(source.numpy()))
        return inside
