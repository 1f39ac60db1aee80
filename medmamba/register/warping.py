"""Images, label maps and volumes' change under a transform: always one resampling of the original."""

from itertools import product
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import ConfigError
from .grid import Grid
from .images import INTERPOLATORS, Interpolation, Volume, array_of
from .metrics.folding import jacobian_determinant
from .transforms.transform import Affine, Field, Transform, slabs

LabelInterpolation = Literal["nearest", "linear"]
_AT_ONCE = 2**18
"""Voxels whose derivatives are worked on at a time."""
_CORNERS = tuple(product((0, 1), repeat=3))


def warp_image(
    moving: Volume,
    transform: Transform,
    fixed: Grid,
    interpolation: Interpolation = "linear",
    outside: float | None = None,
) -> Volume:
    """The moving image on the fixed grid, in its own type and range of numbers.

    interpolation: "bspline" is the cubic spline of ITK, cut to the range of the image.
    outside: number where the moving image does not reach; None: its smallest. Raises ConfigError where the image's
        type cannot hold it.
    """
    data = moving.data
    low, high = data.min().item(), data.max().item()
    padding = low if outside is None else _held(outside, data.dtype)
    if interpolation == "nearest":
        return Volume(_resampled(moving.itk(), transform, fixed, interpolation, padding), fixed)
    wide = np.float64 if data.dtype.itemsize > 2 and data.dtype.kind != "f" else np.float32
    result = _resampled(moving.itk(wide), transform, fixed, interpolation, padding)
    for row in result:  # a spline overshoots, and integers are rounded rather than cut off as ITK does
        np.clip(row, min(low, padding), max(high, padding), out=row)
        if data.dtype.kind != "f":
            np.rint(row, out=row)
    return Volume(result.astype(data.dtype, copy=False), fixed)


def warp_labels(
    moving: Volume, transform: Transform, fixed: Grid, interpolation: LabelInterpolation = "nearest"
) -> Volume:
    """A label map on the fixed grid; 0 where the moving one does not reach.

    nearest: the label of the nearest voxel. linear: each label's share of the eight voxels around, and the label with
    the largest; of equal ones the smallest. This is the linear interpolation of one map a label, without the maps:
    only at the borders between labels is anything computed, whatever their number. Numbers are never interpolated.
    """
    if interpolation == "nearest":
        return Volume(_resampled(moving.itk(), transform, fixed, interpolation, 0), fixed)
    result = np.zeros(fixed.shape, moving.data.dtype)
    for rows, index in slabs(fixed.shape):
        at = moving.grid.index(transform.points(fixed.world(index)))
        inside = moving.grid.holds(at)
        part = np.zeros(len(at), moving.data.dtype)
        part[inside] = _voted(moving.data, at[inside])
        result[rows] = part.reshape(result[rows].shape)
    return Volume(result, fixed)


def outside_share(moving: Grid, transform: Transform, fixed: Grid) -> float:
    """The share of the fixed grid's voxels, 0 to 1, that map to where the moving image does not reach."""
    inside = sum(int(moving.inside(transform.points(fixed.world(index))).sum()) for _, index in slabs(fixed.shape))
    return 1 - inside / float(np.prod(fixed.shape))


def jacobian(transform: Transform, grid: Grid) -> NDArray[np.float32]:
    """The determinant of d(moving mm) / d(fixed mm) at each voxel (X, Y, Z): below 1 where the fixed side is larger.

    Central differences; at the grid's border the displacement of the fields is repeated beyond it, while affine maps
    keep their own determinant there.
    """
    linear = _linear(transform, grid)
    back, factor = np.asarray(np.linalg.inv(linear[:3, :3]), np.float64), float(np.linalg.det(linear[:3, :3]))
    field = _less(transform.displacement_on(grid), linear, back)
    result = np.empty(grid.shape, np.float32)
    many = max(1, _AT_ONCE // (grid.shape[1] * grid.shape[2]))
    for first in range(0, grid.shape[0], many):
        start, stop = max(first - 1, 0), min(first + many + 1, grid.shape[0])
        part = jacobian_determinant(field[start:stop])
        rows = slice(first, min(first + many, grid.shape[0]))
        result[rows] = factor * part[first - start :][: rows.stop - first]
    return result


def _linear(transform: Transform, grid: Grid) -> NDArray[np.float64]:
    """(4, 4): all affine maps of a transform as one, from voxels to voxels of the grid."""
    matrix = grid.affine
    for part in transform.parts:
        if isinstance(part, Affine):
            matrix = part.matrix @ matrix
    return np.asarray(np.linalg.inv(grid.affine) @ matrix, np.float64)


def _less(field: Field, linear: NDArray[np.float64], back: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a whole map does besides its affine part, brought back through that: (X, Y, Z, 3) voxels."""
    if np.array_equal(linear, np.eye(4)):
        return field.displacement
    result = np.empty_like(field.displacement)
    for rows, index in slabs(field.grid.shape):
        moved = field.displacement[rows].reshape(-1, 3) + index
        rest = (moved - linear[:3, 3]) @ back.T - index
        result[rows] = rest.reshape(result[rows].shape)
    return result


def _held(value: float, dtype: np.dtype[Any]) -> float:
    """`value`, which an image of this type can hold. Raises ConfigError where it cannot."""
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    if not limits.min <= value <= limits.max or (dtype.kind != "f" and value != int(value)):
        problem = f"The image is stored as {dtype.name}, which cannot hold {value:g} for what lies outside."
        raise ConfigError(problem, "Choose another number.")
    return value


def _resampled(image: Any, transform: Transform, fixed: Grid, interpolation: Interpolation, outside: float) -> Any:
    method = INTERPOLATORS[interpolation]
    return array_of(sitk.Resample(image, fixed.reference(), transform.itk(), method, outside, sitk.sitkUnknown))


def _voted(labels: NDArray[Any], at: NDArray[np.float64]) -> NDArray[Any]:
    """The label with the largest share of the voxels around each index (N, 3)."""
    last = np.array(labels.shape) - 1
    at = np.clip(at, 0, last)
    base = np.minimum(at.astype(np.intp), np.maximum(last - 1, 0))
    corners = [labels[tuple((base + corner).T)] for corner in _CORNERS]
    result = corners[0]
    (mixed,) = np.nonzero(np.any([corner != corners[0] for corner in corners[1:]], axis=0))
    if len(mixed):
        near = np.stack([corner[mixed] for corner in corners])
        result[mixed] = _largest(near, _weights(at[mixed] - base[mixed]))
    return result


def _weights(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """(8, N): the trilinear weight of each corner."""
    each = [np.where(np.array(corner, bool), fraction, 1 - fraction).prod(axis=1) for corner in _CORNERS]
    return np.stack(each)


def _largest(labels: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[Any]:
    """(N,): of eight labels (8, N) the one with the largest sum of weights; of equal sums the smallest label."""
    best = np.full(labels.shape[1], -1.0)
    result = np.zeros(labels.shape[1], labels.dtype)
    for label in labels:
        share = np.where(labels == label, weights, 0).sum(axis=0)
        share = np.round(share, 12)  # half and half, added in another order, stays half and half
        better = (share > best) | ((share == best) & (label < result))
        best[better], result[better] = share[better], label[better]
    return result
