"""nnU-Net's usual resampling of images and logits, fast and in little memory: equal to
`nnunetv2.preprocessing.resampling.default_resampling.resample_data_or_seg_to_shape` with `is_seg=False` up to the
rounding of its float64 arithmetic.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..recipe import Resampling
from .axes import Axis, apply, axis, unchanged
from .scratch import let_go

ANISOTROPY = 3
"""How many times as coarse as the finest an axis must be for nnU-Net to resample it on its own."""
_SPLINE = 24  # neighbours on each side whose weight in a spline is not negligible
_LIBRARY = 2**25  # bytes: what the matrix products' library keeps for itself
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


def axes_of(
    shape: Sequence[int], new: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float], how: Resampling
) -> tuple[Axis, Axis, Axis]:
    """The weights of each of three axes from `shape` voxels at `spacing` to `new` at `new_spacing`."""
    alone = separate_axis(spacing, new_spacing, how)
    together = [i for i in range(3) if i != alone]
    found = [unchanged(size) for size in shape]
    if any(shape[i] != new[i] for i in together):
        for i in together:
            found[i] = axis(shape[i], new[i], how.order)
    if alone is not None and shape[alone] != new[alone]:
        found[alone] = axis(shape[alone], new[alone], how.order_z, "coordinates")
    return found[0], found[1], found[2]


def stays_between(spacing: Sequence[float], new_spacing: Sequence[float], how: Resampling) -> bool:
    """Whether every result lies between the least and greatest of its neighbours: splines of order 2 overshoot."""
    return how.order <= 1 and (how.order_z <= 1 or separate_axis(spacing, new_spacing, how) is None)


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
    alone = separate_axis(spacing, new_spacing, how)
    rows = alone or 0
    axes = list(axes_of(data.shape[1:], shape, spacing, new_spacing, how))
    axes.insert(0, axes.pop(rows))
    for channel, target in zip(data, out, strict=True):
        streamed = RowResampler(axes, clip_rows=how.order > 1 and alone is not None)
        limits = _range(channel) if how.order > 1 and alone is None else None
        rows_in, rows_out = np.moveaxis(channel, rows, 0), np.moveaxis(target, rows, 0)
        for start in range(0, len(rows_in), _ROWS):
            for first, values in streamed.feed(torch.from_numpy(rows_in[start : start + _ROWS].astype(np.float64))):
                if limits:
                    values.clamp_(*limits)
                rows_out[first : first + len(values)] = values.numpy()
            let_go(data)
            let_go(out)
    return out


def resample_bytes(shape: Sequence[int], new: Sequence[int], how: Resampling) -> int:
    """Bytes that `resample` takes beyond input and output, whichever axis its rows run along; rather too many."""
    plane_in, plane_out = math.prod(shape) // min(shape), math.prod(new) // min(new)
    reach = 2 * (_SPLINE if how.order > 1 else 1)
    needed = min(_ROWS * max(a / b for a, b in zip(shape, new, strict=True)) + reach, max(shape))
    return int(8 * ((2 * needed + 5 * _ROWS) * plane_out + 4 * _ROWS * plane_in)) + _LIBRARY


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
    axes: of the rows, then of the two axes within a row.
    clip_rows: clip each row to its own range after resampling it within itself, before rows are mixed, as nnU-Net
        does where the rows' axis is resampled on its own. A clip to the range of all rows is the caller's.
    """

    def __init__(self, axes: Sequence[Axis], clip_rows: bool = False) -> None:
        self.rows, *self.within = axes
        self.clip_rows = clip_rows and not all(part.identity for part in self.within)
        self.held: list[Tensor] = []  # rows resampled within themselves, from row `start` on
        self.start = 0
        self.arrived = 0
        self.given = 0

    def feed(self, rows: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Take (n, a, b) float64; yield (index of the first output row, output rows (m, a', b') float64)."""
        self.held.extend(self._inside(rows))
        self.arrived += len(rows)
        ready = self.rows.ready(self.arrived)
        while self.given < ready:
            run = self.rows.run(self.given, min(self.given + _ROWS, ready))
            del self.held[: run.first - self.start]
            self.start = run.first
            stack = torch.stack(self.held[: run.last - run.first])
            mixed = stack if run.weights is None else (run.weights @ stack.flatten(1)).unflatten(1, stack.shape[1:])
            yield self.given, mixed
            self.given = run.stop

    def _inside(self, rows: Tensor) -> Tensor:
        """(n, a, b) -> (n, a', b')."""
        inside = apply(self.within[0], apply(self.within[1], rows, 2), 1)
        if self.clip_rows:
            for source, target in zip(rows, inside, strict=True):
                target.clamp_(*_range(source.numpy()))
        return inside
