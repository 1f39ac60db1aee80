"""Norms, additions and activations of a network, run by the fused kernel."""

from typing import Any

import torch
from torch import Tensor, nn

from ..kernels.norm import Norm, affine_act, channel_affine
from .maps import as_map, innermost, rows

INSTANCE_NORMS = (nn.InstanceNorm2d, nn.InstanceNorm3d)


def fusible_norm(module: nn.Module) -> bool:
    """Whether `module` normalises by the map at hand: group norm, or instance norm without running statistics."""
    if isinstance(module, INSTANCE_NORMS):
        return not module.track_running_stats
    return isinstance(module, nn.GroupNorm)


def slope_of(module: nn.Module) -> float | None:
    """The negative slope of a (leaky) ReLU, 1 for an identity, None for any other module."""
    if isinstance(module, nn.ReLU):
        return 0.0
    if isinstance(module, nn.LeakyReLU):
        return float(module.negative_slope)
    return 1.0 if isinstance(module, nn.Identity) else None


def _norm_of(module: nn.Module | None, channels: int) -> Norm:
    """What `module` normalises by; None stands for instance norm as the function does it."""
    if module is None:
        return Norm(channels)
    groups = module.num_groups if isinstance(module, nn.GroupNorm) else channels
    weight, bias, eps = (getattr(module, name) for name in ("weight", "bias", "eps"))
    return Norm(int(groups), weight, bias, float(eps))


_NOTHING = object()


def normalised(
    x: Tensor,
    norm: nn.Module | None = None,
    slope: float = 1.0,
    residual: Tensor | None = None,
    residual_norm: Any = _NOTHING,
    outer: float = 1.0,
    overwrite: bool = False,
) -> Tensor:
    """``act(act(norm(x), slope) + residual_norm(residual), outer)`` of a map (B, C, *spatial), channels innermost.

    Parameters
    ----------
    norm: an instance or group norm; None for instance norm without parameters. residual_norm: likewise, for the
    residual; not given: the residual is added as it is.
    slope, outer: negative slopes of the activations before and after the addition, 1 for none.
    overwrite: `x` is nobody else's and may hold the result.
    """
    voxels = rows(x)
    own = overwrite or voxels.data_ptr() != x.data_ptr()
    other = None if residual is None else rows(innermost(residual, x.dtype))
    other_affine = None
    if other is not None and residual_norm is not _NOTHING:
        other_affine = channel_affine(other, _norm_of(residual_norm, x.shape[1]))
    affine = channel_affine(voxels, _norm_of(norm, x.shape[1]))
    out = affine_act(voxels, affine, slope, other, other_affine, outer, out=voxels if own else torch.empty_like(voxels))
    return as_map(out, x.shape[2:])


class InstanceNorm2d(nn.InstanceNorm2d):
    """Form of `torch.nn.InstanceNorm2d`."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return normalised(x, self)


class InstanceNorm3d(nn.InstanceNorm3d):
    """Form of `torch.nn.InstanceNorm3d`."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return normalised(x, self)


class GroupNorm(nn.GroupNorm):
    """Form of `torch.nn.GroupNorm`."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return normalised(x, self)


class NormAct(nn.Module):
    """A norm and the activation behind it. `overwrite`: the input comes from a convolution and is used nowhere else."""

    def __init__(self, norm: nn.Module, slope: float, overwrite: bool) -> None:
        super().__init__()
        self.norm, self.slope, self.overwrite = norm, slope, overwrite

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return normalised(x, self.norm, self.slope, overwrite=self.overwrite)
