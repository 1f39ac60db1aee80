"""Distances between the surfaces of two masks of one grid, in the voxel-surface definition.

A surface voxel is one of the mask that has a neighbour across a face outside of it; what lies beyond the grid is
outside. Its distance is that from its centre to the centre of the nearest surface voxel of the other mask, and every
surface voxel counts alike. MONAI has the same definition. DeepMind's surface-distance, the script behind KiTS, FLARE
and BraTS, weighs surface elements between voxels by their area instead: on smooth organs the two differ in the third
digit of a normalised surface Dice, on structures of a few voxels by more.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Unit = Literal["mm", "voxel"]
Definition = Literal["pooled", "max"]
Distances = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of the surface voxels of one mask to the other mask's surface, and the other way."""
_AT_ONCE = 2**21
"""Voxels whose distances are worked out together."""
_MUCH_SPACE = 10
"""Voxels of the box for each surface voxel from which a search is quicker than a transform."""
_ROUNDING = 1e-6
"""Share by which a distance may exceed a tolerance: headers store 1.1 mm as 1.10000002."""


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
    return None if both is None else percentile(both, 95, definition)


def surface_distances(fixed: NDArray[Any], warped: NDArray[Any], spacing: Sequence[float]) -> Distances | None:
    """Distances from each surface voxel of `fixed` to the surface of `warped`, and the other way; None if one is empty.

    In units of `spacing`, which has one edge length for each axis of the arrays. Exact; takes about 17 bytes a voxel
    of the box around both masks.
    """
    f, w = np.asarray(fixed, bool), np.asarray(warped, bool)
    if not f.any() or not w.any():
        return None
    box = ndimage.find_objects((f | w).view(np.uint8))[0]
    surfaces = [_surface(mask[box]) for mask in (f, w)]
    del f, w
    return _distances(surfaces[0], surfaces[1], spacing), _distances(surfaces[1], surfaces[0], spacing)


def percentile(both: Distances, share: float, definition: Definition = "max") -> float:
    """A percentile (0 to 100) of surface distances, by linear interpolation; 100 is the Hausdorff distance."""
    if definition == "pooled":
        return float(np.percentile(np.concatenate(both), share))
    return float(max(np.percentile(one, share) for one in both))


def average_distance(both: Distances) -> float:
    """Average symmetric surface distance: the mean over the surface voxels of both masks."""
    return float(sum(one.sum() for one in both) / sum(one.size for one in both))


def surface_dice(both: Distances, tolerance: float) -> float:
    """Normalised surface Dice: the share of the surface voxels of both masks within `tolerance` of the other's surface.

    Nikolov et al., arXiv:1809.04430, with voxels in place of surface elements.
    """
    within = tolerance * (1 + _ROUNDING)
    return float(sum(np.count_nonzero(one <= within) for one in both) / sum(one.size for one in both))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & ~ndimage.binary_erosion(mask)


def _distances(source: NDArray[np.bool_], target: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """From each voxel of `source` to the nearest of `target`, in the order of the array; both ways are exact."""
    if _MUCH_SPACE * (np.count_nonzero(source) + np.count_nonzero(target)) < source.size:
        return _by_tree(source, target, spacing)
    return _by_transform(source, target, spacing)


def _by_tree(source: NDArray[np.bool_], target: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """For surfaces in much space: a search among the points costs a tenth of a transform of the space between them."""
    places = [np.argwhere(mask) * np.asarray(spacing, np.float64) for mask in (source, target)]
    tree = cKDTree(places[1], balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(places[0])[0], np.float64)


def _by_transform(
    source: NDArray[np.bool_], target: NDArray[np.bool_], spacing: Sequence[float]
) -> NDArray[np.float64]:
    """For surfaces that fill their box, as noise does.

    scipy is asked which voxel is nearest, in 32-bit numbers: its distances would take six times the memory, and all
    but those on the surface would be thrown away.
    """
    nearest = ndimage.distance_transform_edt(
        ~target, sampling=tuple(spacing), return_distances=False, return_indices=True
    )
    edges = np.asarray(spacing, np.float64)
    rows = max(1, _AT_ONCE // max(1, source[0].size))
    parts = []
    for first in range(0, len(source), rows):
        places = np.nonzero(source[first : first + rows])
        squares = np.zeros(len(places[0]))
        for axis, edge in enumerate(edges):
            there = nearest[axis, first : first + rows][places]
            here = places[axis] + first if axis == 0 else places[axis]
            squares += ((there - here) * edge) ** 2
        parts.append(np.sqrt(squares))
    return np.concatenate(parts)
