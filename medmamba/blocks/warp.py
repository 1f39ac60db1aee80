"""Displacement fields: warping images, integrating velocities, resizing; 2-D and 3-D in one.

A field is (B, D, *spatial) for D spatial axes, in voxels of its own grid; component c belongs to array axis c. Nothing
here depends on a fixed image size, and coordinates are never rounded to half precision: inputs are widened to float32.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from ..kernels import warp as compiled


def _full(x: Tensor) -> Tensor:
    """`x` in float32 or more: half precision cannot tell neighbouring voxels apart beyond the 256th."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _check_field(field: Tensor, spatial: torch.Size) -> None:
    if field.dim() not in (4, 5) or field.shape[1] != field.dim() - 2 or field.shape[2:] != spatial:
        raise ConfigError(
            f"A displacement field of shape {tuple(field.shape)} does not fit an image of size {tuple(spatial)}.",
            "It needs one component per spatial axis, 2 or 3, and the size of the image.",
        )


def _sampling_grid(displacement: Tensor) -> Tensor:
    """Where each voxel reads from, as the framework's sampler counts: (B, *spatial, D), last axis first, in -1..1.

    Voxel x of an axis with S voxels is (2x + 1) / S - 1 (align_corners False), which also holds for S = 1.
    """
    spatial = displacement.shape[2:]
    axes = []
    for axis, size in enumerate(spatial):
        voxel = torch.arange(size, dtype=displacement.dtype, device=displacement.device)
        voxel = voxel.view(size, *[1] * (len(spatial) - axis - 1))
        axes.append((2 * (displacement[:, axis] + voxel) + 1) / size - 1)
    return torch.stack(axes[::-1], dim=-1)


def warp(image: Tensor, displacement: Tensor, mode: Literal["linear", "nearest"] = "linear") -> Tensor:
    """Spatial transformer: ``out(p) = image(p + displacement(p))``, zero outside the image.

    A sample less than one voxel outside still blends with the zeros around the image (linear mode).

    Parameters
    ----------
    image: (B, C, *spatial), floating. displacement: (B, D, *spatial) in voxels.

    Returns (B, C, *spatial), float32 or wider. Raises ConfigError where the two do not fit.
    """
    _check_field(displacement, image.shape[2:])
    dtype = torch.promote_types(_full(image).dtype, displacement.dtype)
    image, displacement = image.to(dtype), displacement.to(dtype)
    if mode == "linear" and compiled.takes(image, displacement):
        return compiled.warp(image, displacement)
    with torch.autocast(image.device.type, enabled=False):
        sampler = "bilinear" if mode == "linear" else "nearest"
        return F.grid_sample(
            image, _sampling_grid(displacement), mode=sampler, padding_mode="zeros", align_corners=False
        )


def integrate(velocity: Tensor, steps: int = 7) -> Tensor:
    """The displacement that a stationary velocity reaches at time 1, by scaling and squaring.

    ``v <- v / 2^steps``, then `steps` times ``v <- v + warp(v, v)`` (Arsigny et al. 2006; VoxelMorph). The result for
    ``-velocity`` is the inverse map up to discretisation; 0 steps return the field itself.

    (B, D, *spatial) -> the same shape, float32 or wider.
    """
    flow = _full(velocity) / 2**steps
    for _ in range(steps):
        flow = flow + warp(flow, flow)
    return flow


def resize_displacement(field: Tensor, factor: float) -> Tensor:
    """A field on a grid with `factor` times as many voxels per axis, its values in the new voxels.

    Linear interpolation with the corner voxels aligned, times `factor` (VoxelMorph's ResizeTransform(1 / factor)).
    (B, D, *spatial) -> (B, D, *floor(factor * spatial)), float32 or wider.
    """
    _check_field(field, field.shape[2:])
    size = [int(s * factor) for s in field.shape[2:]]
    mode = "bilinear" if field.dim() == 4 else "trilinear"
    return F.interpolate(_full(field), size=size, mode=mode, align_corners=True) * factor
