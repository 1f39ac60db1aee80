"""Resampling label maps: each label's indicator on its own, the greatest wins. Equal to nnU-Net's, voxel by voxel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipe import Resampling
from .axes import axis
from .resample import separate_axis


def resample_labels(
    labels: NDArray[Any], shape: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float], how: Resampling
) -> NDArray[Any]:
    """A label map (*size) on a grid of `shape` voxels, in its own dtype; itself where the shape stays.

    Parameters
    ----------
    labels: label values, three axes.
    shape: voxels of the result.
    spacing, new_spacing: mm before and after; they only decide whether an axis is resampled on its own.
    how: orders and that decision.
    """
    from batchgenerators.augmentations.utils import resize_segmentation

    shape = tuple(int(size) for size in shape)
    if labels.shape == shape:
        return labels
    separate = separate_axis(spacing, new_spacing, how)
    if separate is None:
        resized: NDArray[Any] = resize_segmentation(labels, shape, how.order)
        return resized
    rows = np.moveaxis(labels, separate, 0)
    within = shape[:separate] + shape[separate + 1 :]
    inside = np.stack([resize_segmentation(row, within, how.order) for row in rows])
    return np.moveaxis(_along(inside, shape[separate], how.order_z), 0, separate)


def _along(rows: NDArray[Any], n_out: int, order: int) -> NDArray[Any]:
    """Rows interpolated along the first axis: the nearest (order 0), or where a label's indicator exceeds 0.5."""
    weights = axis(len(rows), n_out, order, "coordinates").weights.numpy()
    if order == 0 or len(rows) == n_out:
        return rows[weights.argmax(1)]
    out = np.zeros((n_out, *rows.shape[1:]), rows.dtype)
    for value in np.unique(rows):
        indicator = np.einsum("oi,i...->o...", weights, (rows == value).astype(np.float64), optimize=True)
        out[np.round(indicator) > 0.5] = value
    return out


def values_of(labels: NDArray[Any]) -> list[int]:
    """The values in a label map, ascending; row by row, so that it takes no memory."""
    top = int(labels.max(initial=0)) + 1
    counts = sum(np.bincount(row.ravel(), minlength=top) for row in labels)
    return [int(value) for value in np.flatnonzero(counts)]
