"""Distances between the surfaces of a fixed and a warped structure."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Unit = Literal["mm", "voxel"]
Definition = Literal["pooled", "max"]


def hd95(
    fixed: NDArray[Any],
    warped: NDArray[Any],
    spacing: Sequence[float],
    unit: Unit = "mm",
    definition: Definition = "pooled",
) -> float | None:
    """95th percentile of the symmetric surface distance of two masks of one grid; None where either is empty.

    `pooled`: the percentile of the distances of both directions taken together. `max`: the larger of the percentiles
    of the two directions, as Learn2Reg has it; never smaller than the smaller of both, and they differ wherever one
    structure is much larger. `voxel`: every axis counts 1 a voxel whatever the spacing, as Learn2Reg and MambaMorph
    print it. A structure that fills its grid's border has its surface there.
    """
    both = surface_distances(fixed, warped, spacing if unit == "mm" else (1.0,) * fixed.ndim)
    if both is None:
        return None
    if definition == "pooled":
        return float(np.percentile(np.concatenate(both), 95))
    return float(max(np.percentile(one, 95) for one in both))


def surface_distances(
    fixed: NDArray[Any], warped: NDArray[Any], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Distances from each surface voxel of `fixed` to the surface of `warped`, and the other way; None if one is empty.

    A surface voxel is one of the mask with a neighbour across a face outside of it. In units of `spacing`, centre to
    centre.
    """
    f, w = np.asarray(fixed, bool), np.asarray(warped, bool)
    if not f.any() or not w.any():
        return None
    box = ndimage.find_objects((f | w).astype(np.uint8))[0]
    surfaces = [_surface(mask[box]) for mask in (f, w)]
    to_fixed, to_warped = (ndimage.distance_transform_edt(~one, sampling=tuple(spacing)) for one in surfaces)
    return to_warped[surfaces[0]], to_fixed[surfaces[1]]


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & ~ndimage.binary_erosion(mask)
