"""Normalisation, addition and activation of a channels-last map in two sweeps over memory. Inference only.

    out = act(act(norm(x), inner) + norm'(residual), outer)          act(v, slope) = v if v > 0 else slope * v

A slope of 1 stands for no activation, 0 for ReLU. Stock InstanceNorm copies a channels-last map to channels-first and
back, and every step around it is a sweep of its own; on a CPU those copies take longer than the arithmetic. Here the
statistics are one reading sweep and everything after them is one reading and writing sweep, in place where wanted.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from . import library
from .arguments import NormArguments, dtype_code

_SMALL = 1 << 16
"""Numbers in a map below which threads cost more than they bring."""

ChannelAffine = tuple[Tensor, Tensor]
"""Scale and shift of each sample's channels, (B, C) each, float32 (float64 for float64 maps)."""


@dataclass(frozen=True)
class Norm:
    """What to normalise by: the statistics of `groups` equal groups of channels; one per channel is instance norm."""

    groups: int
    weight: Tensor | None = None
    """(C,)"""
    bias: Tensor | None = None
    """(C,)"""
    eps: float = 1e-5


def channel_affine(x: Tensor, norm: Norm) -> ChannelAffine:
    """The scale and shift that normalise the map `x` (B, V, C) over its V voxels, weight and bias included.

    x: float32 or bfloat16 (plain torch takes any floating type), channels dense. The result is the same to the bit for
    any number of threads. Raises ConfigError for groups or parameters that do not fit the channels.
    """
    _check_norm(x, norm)
    loaded = _library(x)
    if loaded is None:
        return channel_affine_torch(x, norm)
    scale, shift = x.new_empty(2, x.shape[0], x.shape[2], dtype=torch.float32)
    parameters = {"weight": _floats(norm.weight), "bias": _floats(norm.bias)}
    block = NormArguments(**_map(x), scale=scale, shift=shift, groups=norm.groups, eps=norm.eps, **parameters)
    loaded.mm_norm_statistics(ctypes.byref(block))
    return scale, shift


def affine_act(
    x: Tensor,
    affine: ChannelAffine | None,
    inner: float = 1.0,
    residual: Tensor | None = None,
    residual_affine: ChannelAffine | None = None,
    outer: float = 1.0,
    out: Tensor | None = None,
) -> Tensor:
    """``act(act(affine(x), inner) + residual_affine(residual), outer)``; None for an affine is the identity.

    x, residual, out: (B, V, C) of one type, channels dense. `out` may be `x`; without it a new tensor is made.
    Raises ConfigError for shapes that do not fit.
    """
    _check_shapes(x, x.shape, residual=residual, out=out)
    for pair in (affine, residual_affine):
        _check_shapes(x, (x.shape[0], x.shape[2]), **dict(zip(("scale", "shift"), pair or (), strict=False)))
    result = torch.empty_like(x, memory_format=torch.contiguous_format) if out is None else out
    loaded = _library(x, result, *([] if residual is None else [residual]))
    if loaded is None:
        return affine_act_torch(x, affine, inner, residual, residual_affine, outer, result)
    if residual is None and inner == 1.0:
        inner = outer
    scale, shift = _dense(affine or _identity(x))
    fields = _map(x) | {"scale": scale, "shift": shift, "inner": inner, "outer": outer}
    fields |= {"out": result, "out_batch": result.stride(0), "out_row": result.stride(1)}
    if residual is not None:
        fields |= {"residual": residual, "residual_batch": residual.stride(0), "residual_row": residual.stride(1)}
        fields["residual_scale"], fields["residual_shift"] = _dense(residual_affine or _identity(x))
    loaded.mm_norm_apply(ctypes.byref(NormArguments(**fields)))
    return result


def _check_norm(x: Tensor, norm: Norm) -> None:
    """ConfigError unless `norm` fits the map `x`."""
    if x.dim() != 3:
        raise ConfigError(f"A norm needs a map of shape (B, V, C), got {tuple(x.shape)}.")
    if norm.groups < 1 or x.shape[2] % norm.groups:
        raise ConfigError(f"A norm cannot cut {x.shape[2]} channels into {norm.groups} equal groups.")
    _check_shapes(x, x.shape[2:], weight=norm.weight, bias=norm.bias)


def _check_shapes(x: Tensor, expected: Sequence[int], **others: Tensor | None) -> None:
    """ConfigError unless the tensors have the shape `expected` and lie where the map `x` lies."""
    for name, other in others.items():
        if other is not None and tuple(other.shape) != tuple(expected):
            wanted = f"{tuple(expected)} for a map of {tuple(x.shape)}"
            raise ConfigError(f"A norm's {name} has shape {tuple(other.shape)}, expected {wanted}.")
        if other is not None and other.device != x.device:
            raise ConfigError(f"A norm's {name} is on {other.device}, its map on {x.device}.")


def _library(*maps: Tensor) -> ctypes.CDLL | None:
    """The compiled library where it can take these maps; a tracer would not see what it does."""
    first = maps[0]
    if torch.jit.is_tracing():
        return None
    fits = first.device.type == "cpu" and dtype_code(first.dtype) is not None and first.numel() > 0
    if not fits or any(x.dtype != first.dtype or (x.stride(-1) != 1 and x.shape[-1] > 1) for x in maps):
        return None
    return library.load()


def _map(x: Tensor) -> dict[str, Any]:
    """What statistics and application have in common."""
    batch, voxels, channels = x.shape
    threads = 1 if x.numel() < _SMALL else torch.get_num_threads()
    sizes = {"batch": batch, "voxels": voxels, "channels": channels, "dtype": dtype_code(x.dtype), "threads": threads}
    return sizes | {"x": x, "x_batch": x.stride(0), "x_row": x.stride(1)}


def _floats(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.float().contiguous()


def _dense(affine: ChannelAffine) -> ChannelAffine:
    scale, shift = (x.float().contiguous() for x in affine)
    return scale, shift


def _identity(x: Tensor) -> ChannelAffine:
    affine = x.new_zeros(2, x.shape[0], x.shape[2], dtype=torch.float32)
    affine[0] = 1
    return affine[0], affine[1]


def channel_affine_torch(x: Tensor, norm: Norm) -> ChannelAffine:
    """`channel_affine` in plain torch."""
    work = torch.promote_types(x.dtype, torch.float32)
    grouped = x.to(work).unflatten(2, (norm.groups, -1))
    variance, mean = torch.var_mean(grouped, dim=(1, 3), correction=0)
    per_channel = x.shape[2] // norm.groups
    scale = torch.rsqrt(variance + norm.eps).repeat_interleave(per_channel, dim=1)
    mean = mean.repeat_interleave(per_channel, dim=1)
    if norm.weight is not None:
        scale = scale * norm.weight.to(work)
    shift = -mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias.to(work)


def affine_act_torch(
    x: Tensor,
    affine: ChannelAffine | None,
    inner: float = 1.0,
    residual: Tensor | None = None,
    residual_affine: ChannelAffine | None = None,
    outer: float = 1.0,
    out: Tensor | None = None,
) -> Tensor:
    """`affine_act` in plain torch."""
    y = _activated(_scaled(x, affine), inner)
    y = _activated(y if residual is None else y + _scaled(residual, residual_affine), outer)
    return y.to(x.dtype) if out is None else out.copy_(y)


def _scaled(x: Tensor, affine: ChannelAffine | None) -> Tensor:
    if affine is None:
        return x.to(torch.promote_types(x.dtype, torch.float32))
    scale, shift = affine
    return torch.addcmul(shift[:, None], x.to(scale.dtype), scale[:, None])


def _activated(x: Tensor, slope: float) -> Tensor:
    return x if slope == 1.0 else F.leaky_relu(x, slope)
