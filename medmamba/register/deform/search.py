"""Discrete search: a start for the optimisation that no local minimum stands in the way of (after ConvexAdam)."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from ..similarity import mind_ssc
from ..similarity.windows import box_mean
from .fields import resize, sample
from .levels import Shape, down
from .objective import MIND_DILATION, MIND_RADIUS
from .sides import Settings, Sides

_CELLS = 28
"""Cells along the longest axis at most: the cost of a cell is one of (2 * reach + 1)^3 displacements."""
_FINEST_VOXELS = 3
"""Voxels that a cell has along each axis at least."""
_REACH = 4
"""Cells that a displacement reaches each way."""
_SHARE = 0.15
"""Of the field of view along an axis that a displacement reaches at most: an affine has gone before."""
_COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Weights of the squared distance to the smooth field, one alternation each; the costs' spread is 1."""
_CONSISTENCY = 15


def _cell(sides: Sides) -> float:
    """Edge of a cell, mm, the same along each axis: the search must not see further along thick slices."""
    extent = [size * spacing for size, spacing in zip(sides.fixed.shape[2:], sides.spacing, strict=True)]
    return max(_FINEST_VOXELS * min(sides.spacing), max(extent) / _CELLS)


def _features(image: Tensor, shape: Shape) -> Tensor:
    """MIND of the image at about three voxels a cell, averaged over each cell."""
    finer = [min(size, _FINEST_VOXELS * cells) for size, cells in zip(image.shape[2:], shape, strict=True)]
    return F.adaptive_avg_pool3d(mind_ssc(down(image, finer), MIND_RADIUS, MIND_DILATION), shape)


def _offsets(sides: Sides, shape: Shape) -> list[tuple[int, int, int]]:
    """Displacements in cells, the nearest first, so that a tie goes to the shorter one."""
    x, y, z = (range(-r, r + 1) for r in (min(_REACH, max(1, round(_SHARE * size))) for size in shape))
    return sorted(product(x, y, z), key=lambda offset: sum(step * step for step in offset))


def _costs(fixed: Tensor, moving: Tensor, offsets: Sequence[tuple[int, int, int]], known: Tensor) -> Tensor:
    """(D, X, Y, Z): squared feature difference of each displacement, averaged over 3x3x3 cells; spread 1."""
    reach = [max(abs(offset[axis]) for offset in offsets) for axis in range(3)]
    around = [reach[2], reach[2], reach[1], reach[1], reach[0], reach[0]]
    padded = F.pad(moving, around, mode="replicate")
    costs = []
    for offset in offsets:
        shifted = padded
        for axis in range(3):
            shifted = shifted.narrow(2 + axis, reach[axis] + offset[axis], fixed.shape[2 + axis])
        difference = ((fixed - shifted) ** 2).mean(1, keepdim=True) * known
        costs.append(box_mean(difference, 3)[0, 0] / box_mean(known, 3)[0, 0].clamp_min(1 / 27))
    stacked = torch.stack(costs)
    return (stacked - stacked.amin(0)) / stacked.std(0).mean().clamp_min(1e-6)


def _coupled(costs: Tensor, offsets: Tensor) -> Tensor:
    """(1, 3, X, Y, Z) in cells: the cheapest displacements, drawn to a smooth field more and more."""
    spatial = costs.shape[1:]
    field = offsets[costs.argmin(0).flatten()].T.reshape(1, 3, *spatial)
    for weight in _COUPLING:
        smooth = box_mean(field, 3) / box_mean(torch.ones_like(field[:, :1]), 3)
        apart = sum((offsets[:, axis, None, None, None] - smooth[0, axis]) ** 2 for axis in range(3))
        field = offsets[(costs + weight * apart).argmin(0).flatten()].T.reshape(1, 3, *spatial)
    return box_mean(field, 3) / box_mean(torch.ones_like(field[:, :1]), 3)


def _consistent(ahead: Tensor, back: Tensor) -> Tensor:
    """The mean of a field and the inverse of the one the other way, iterated until each undoes the other."""
    for _ in range(_CONSISTENCY):
        ahead, back = (ahead - sample(back, ahead)) / 2, (back - sample(ahead, back)) / 2
    return ahead


def search(sides: Sides, settings: Settings) -> Tensor:
    """A displacement field found without gradients: MIND descriptors, every displacement of a small lattice tried.

    Siebert et al., TMI 2024 (ConvexAdam): squared differences of pooled descriptors, coupled convex regularisation
    (Heinrich et al. 2014), both directions made consistent. Cells and reach are in mm, equal along all axes, and
    scaled to the volume. `settings.max_displacement_mm` bounds the result.

    Returns (1, 3, X, Y, Z) in voxels of the work grid.
    """
    full = sides.fixed.shape[2:]
    cell = _cell(sides)
    x, y, z = (max(2, round(n * s / cell)) for n, s in zip(full, sides.spacing, strict=True))
    shape = (x, y, z)
    fixed, moving = (_features(image, shape) for image in (sides.fixed, sides.moving))
    known = [_known(mask, shape, fixed) for mask in (sides.fixed_mask, sides.moving_mask)]
    offsets = _offsets(sides, shape)
    steps = fixed.new_tensor(offsets)
    ahead = _coupled(_costs(fixed, moving, offsets, known[0]), steps)
    back = _coupled(_costs(moving, fixed, offsets, known[1]), steps)
    field = resize(_consistent(ahead, back), full)
    if settings.max_displacement_mm is None:
        return field
    length = (field * field.new_tensor(sides.spacing).view(1, 3, 1, 1, 1)).norm(dim=1, keepdim=True)
    return field * (settings.max_displacement_mm / length.clamp_min(settings.max_displacement_mm))


def _known(mask: Tensor | None, shape: Shape, like: Tensor) -> Tensor:
    """(1, 1, X, Y, Z): the share of each cell that counts."""
    return like.new_ones(1, 1, *shape) if mask is None else F.adaptive_avg_pool3d(mask, shape)
