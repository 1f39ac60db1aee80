"""Resampling one axis: a small matrix of weights, found by asking scikit-image and SciPy what becomes of unit vectors.

What nnU-Net resamples with (`skimage.transform.resize`, and `scipy.ndimage.map_coordinates` along a coarse axis) is
linear and treats each axis on its own, but for a clip to the range of the input. So three thin matrix products do what
those two do voxel by voxel.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Method = Literal["resize", "coordinates"]
_NEGLIGIBLE = 1e-13  # a spline's weights fade by 0.27 a voxel; what is left out is far below float32's rounding
_CHUNK = 32  # outputs that are computed from one common run of inputs


@dataclass(frozen=True)
class Axis:
    """How the `n_out` samples along an axis follow from `n_in`."""

    weights: Tensor
    """(n_out, n_in), float64."""
    first: NDArray[np.int64]
    """(n_out,): the first input that an output depends on; never falls."""
    stop: NDArray[np.int64]
    """(n_out,): one past the last input that an output depends on; never falls."""
    order: int
    """Of the spline."""
    identity: bool = False
    """The samples stay what they are."""

    def run(self, start: int, stop: int) -> "Run":
        """What outputs start..stop-1 follow from."""
        first, last = int(self.first[start]), int(self.stop[stop - 1])
        return Run(start, stop, first, last, None if self.identity else self.weights[start:stop, first:last])

    def runs(self, size: int) -> list["Run"]:
        """All outputs in runs of `size`, the last one shorter."""
        n_out = len(self.weights)
        return [self.run(start, min(start + size, n_out)) for start in range(0, n_out, size)]

    def ready(self, arrived: int) -> int:
        """How many outputs follow from the first `arrived` inputs."""
        return int(np.searchsorted(self.stop, arrived, side="right"))


@dataclass(frozen=True)
class Run:
    """Neighbouring outputs start..stop-1 and the inputs first..last-1 that they depend on."""

    start: int
    stop: int
    first: int
    last: int
    weights: Tensor | None
    """(stop - start, last - first); None where the samples stay what they are."""


@lru_cache(maxsize=256)
def axis(n_in: int, n_out: int, order: int, method: Method = "resize") -> Axis:
    """The weights of one axis. Splines of order 2 and more bend samples near the ends even where their number stays.

    Parameters
    ----------
    n_in, n_out: samples before and after.
    order: of the spline, 0 to 5.
    method: "resize" as `skimage.transform.resize(mode="edge", anti_aliasing=False)`, "coordinates" as nnU-Net's use of
        `scipy.ndimage.map_coordinates(mode="nearest")` along the coarse axis.
    """
    if n_in == n_out and order <= 1:
        return unchanged(n_in)
    if n_in == n_out:
        method = "coordinates"  # resize would hand the line back
    weights = _nearest(n_in, n_out, method) if order == 0 else _probe(n_in, n_out, order, method)
    used = np.abs(weights) > (_NEGLIGIBLE if order > 1 else 0)
    weights[~used] = 0
    # what outputs before (after) an output start (stop) with is within its range too: ranges of runs are then simple
    first = np.minimum.accumulate(used.argmax(1)[::-1])[::-1]
    stop = np.maximum.accumulate(n_in - used[:, ::-1].argmax(1))
    return Axis(torch.from_numpy(weights), first, stop, order)


def unchanged(size: int) -> Axis:
    """An axis that stays what it is."""
    every = np.arange(size)
    return Axis(torch.eye(size, dtype=torch.float64), every, every + 1, 0, identity=True)


def _nearest(n_in: int, n_out: int, method: Method) -> NDArray[np.float64]:
    """One input for each output."""
    chosen = _sample(np.arange(n_in, dtype=np.float64), n_out, 0, method).astype(np.int64)
    weights = np.zeros((n_out, n_in))
    weights[np.arange(n_out), chosen] = 1
    return weights


def _probe(n_in: int, n_out: int, order: int, method: Method) -> NDArray[np.float64]:
    """A column for each unit vector. Clipped to 0..1 they would lose the spline's negative weights: hence no clip."""
    weights = np.empty((n_out, n_in))
    unit = np.zeros(n_in)
    for i in range(n_in):
        unit[i] = 1
        weights[:, i] = _sample(unit, n_out, order, method)
        unit[i] = 0
    return weights


def _sample(line: NDArray[np.float64], n_out: int, order: int, method: Method) -> NDArray[np.float64]:
    """One line of samples through the library's own function."""
    if method == "resize":
        from skimage.transform import resize

        return np.asarray(resize(line, (n_out,), order, mode="edge", anti_aliasing=False, clip=False))
    from scipy.ndimage import map_coordinates

    positions = float(len(line)) / n_out * (np.arange(n_out) + 0.5) - 0.5
    return np.asarray(map_coordinates(line, positions[None], order=order, mode="nearest"))


def apply(resampled: Axis, data: Tensor, dim: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """`data` resampled along its axis `dim`, in `dtype`. Inputs must be finite: 0 times infinity is not 0.

    The weights are applied in runs of outputs, each from the inputs that it depends on, as matrix products.
    """
    data = data.to(dtype)
    if resampled.identity:
        return data
    out = data.new_empty((*data.shape[:dim], len(resampled.weights), *data.shape[dim + 1 :]))
    for run in resampled.runs(_CHUNK):
        assert run.weights is not None
        source = data.narrow(dim, run.first, run.last - run.first)
        _product(run.weights.to(data.device, dtype), source, dim, out.narrow(dim, run.start, run.stop - run.start))
    return out


def _product(weights: Tensor, data: Tensor, dim: int, out: Tensor) -> None:
    """weights (o, i) times data (..., i, ...) along `dim`, written to `out` (..., o, ...)."""
    if dim == data.ndim - 1:
        out.copy_(data @ weights.T)
    elif dim == 0:
        out.copy_((weights @ data.flatten(1)).view(out.shape))
    else:
        lines = data.flatten(0, dim - 1).flatten(2)  # (before, i, after)
        out.copy_(torch.matmul(weights, lines).view(out.shape))
