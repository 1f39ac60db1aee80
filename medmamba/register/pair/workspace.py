"""The grid that a pair is worked on, and both sides brought there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from ..deform.sides import Sides
from ..grid import Grid
from ..images import Volume, array_of, onto
from ..transforms.transform import Transform
from ..warping import warp_image
from .checks import Pair

MOST_VOXELS = 6_000_000
"""Of a work grid: a head of 160 x 192 x 160 fits as it is. Larger images are worked on in larger voxels."""
MARGIN = 6
"""Voxels around the fixed image that belong to the work grid."""
_COARSER = 1.5
"""Times the voxel edge, from which on an image is smoothed before it is sampled."""


def view_grid(fixed: Grid) -> Grid:
    """The fixed image's voxels turned to the closest patient axes; too many are made fewer, the finest axis first."""
    grid = fixed.canonical()
    spacing, extent = np.array(grid.spacing), np.array(grid.spacing) * grid.shape
    if np.prod(grid.shape) <= MOST_VOXELS:
        return grid
    low, high = float(spacing.min()), float(extent.max())
    for _ in range(50):
        middle = (low + high) / 2
        many = np.prod(extent / np.maximum(spacing, middle)) > MOST_VOXELS
        low, high = (middle, high) if many else (low, middle)
    return grid.resampled(np.maximum(spacing, high).tolist())


def work_grid(fixed: Grid) -> Grid:
    """`view_grid` with a margin, in which a field can go on beyond the edge of a tight crop."""
    inner = view_grid(fixed)
    x, y, z = (size + 2 * MARGIN for size in inner.shape)
    affine = inner.affine.copy()
    affine[:3, 3] = inner.world([[-MARGIN] * 3])[0]
    return Grid((x, y, z), affine)


def without_margin(array: NDArray[Any]) -> NDArray[Any]:
    """What an array (X, Y, Z, ...) of the work grid holds on the `view_grid`."""
    return array[(slice(MARGIN, -MARGIN),) * 3]


@dataclass(frozen=True, eq=False)
class Guides:
    """What the optimisation goes by besides the images, each side on its own grid."""

    labels: Sequence[tuple[Volume, Volume]] = ()
    """For each structure how much of each voxel belongs to it, float32 0..1: fixed, moving."""
    points: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """RAS mm, (N, 3) each."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The fixed image on a grid, and the moving one as a transform puts it there."""

    grid: Grid
    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    """(X, Y, Z), 0..1. Beyond an image its edge goes on: a step to black there would be taken for anatomy."""
    fixed_inside: NDArray[np.bool_]
    moving_inside: NDArray[np.bool_]
    """Where each image reaches."""

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Where both reach."""
        return self.fixed_inside & self.moving_inside


def scene(fixed: Volume, moving: Volume, transform: Transform, grid: Grid) -> Scene:
    """Both scaled images on a grid. Finer ones are smoothed before, so that nothing is lost between the samples."""
    still = Transform(())
    return Scene(
        grid,
        _sampled(_smoothed(fixed, grid), still, grid),
        _sampled(_smoothed(moving, grid), transform, grid),
        reach(fixed.grid, still, grid),
        reach(moving.grid, transform, grid),
    )


def _sampled(volume: Volume, transform: Transform, grid: Grid) -> NDArray[np.float32]:
    """Linear, the edge repeated outside."""
    how = (sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)
    return array_of(sitk.Resample(volume.itk(), grid.reference(), transform.itk(), *how))


def reach(moving: Grid, transform: Transform, grid: Grid) -> NDArray[np.bool_]:
    """(X, Y, Z): the voxels of a grid that a transform sends into the moving grid."""
    ones = Volume(np.ones(moving.shape, np.uint8), moving)
    inside: NDArray[np.bool_] = warp_image(ones, transform, grid, "nearest", 0).data > 0
    return inside


def sides(seen: Scene, pair: Pair, transform: Transform, guides: Guides, device: torch.device) -> Sides:
    """What the deformation works on; masks only where something is masked."""
    fixed_mask, moving_mask = seen.fixed_inside, seen.moving_inside
    if pair.fixed.mask is not None:
        fixed_mask = fixed_mask & (onto(pair.fixed.mask, seen.grid, "nearest", 0) > 0)
    if pair.moving.mask is not None:
        moving_mask = moving_mask & (warp_image(pair.moving.mask, transform, seen.grid, "nearest", 0).data > 0)

    def tensor(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None].to(device)

    labels = [
        (onto(fixed, seen.grid), warp_image(moving, transform, seen.grid, "linear", 0.0).data)
        for fixed, moving in guides.labels
    ]
    fixed_points, moving_points = _points(seen.grid, transform, guides, device)
    return Sides(
        fixed=tensor(seen.fixed),
        moving=tensor(seen.moving),
        spacing=seen.grid.spacing,
        fixed_mask=None if fixed_mask.all() else tensor(fixed_mask),
        moving_mask=None if moving_mask.all() else tensor(moving_mask),
        fixed_labels=torch.cat([tensor(fixed) for fixed, _ in labels], 1) if labels else None,
        moving_labels=torch.cat([tensor(moving) for _, moving in labels], 1) if labels else None,
        fixed_points=fixed_points,
        moving_points=moving_points,
    )


def one_hot(labels: Volume, values: Sequence[int]) -> list[Volume]:
    """One float32 volume of 0 and 1 for each label."""
    return [replace(labels, data=(labels.data == value).astype(np.float32)) for value in values]


def _points(
    grid: Grid, transform: Transform, guides: Guides, device: torch.device
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Landmarks in voxels of the work grid, the moving ones as the affine brings them there."""
    if guides.points is None:
        return None, None
    fixed, moving = guides.points
    back = Transform(tuple(part.inverse() for part in reversed(transform.parts) if hasattr(part, "inverse")))
    first, second = (torch.from_numpy(grid.index(points)).float().to(device) for points in (fixed, back.points(moving)))
    return first, second


def _smoothed(volume: Volume, grid: Grid) -> Volume:
    """The image with what is finer than the grid's voxels taken out, where these are much larger."""
    finest, wanted = max(volume.grid.spacing), min(grid.spacing)
    if wanted < _COARSER * finest:
        return volume
    smooth = sitk.SmoothingRecursiveGaussian(volume.itk(), 0.4 * wanted)
    return replace(volume, data=array_of(smooth))
