"""Reading a volume where a displacement leads, float32 on a CPU: many times faster than torch's sampler.

``out(p) = image(p + u(p))``, linear between voxels, zero outside. On a voxel, where the slope jumps, it is the one
towards the next voxel, on the last voxel the one before. torch's `grid_sample` is the twin (`medmamba.blocks.warp`).
"""

from typing import Any

import torch
from torch import Tensor

from . import library
from .arguments import WarpArguments

_MOST = 2**31 - 1
"""Voxels of a volume, for the kernel counts them in 32 bits."""


def takes(image: Tensor, displacement: Tensor) -> bool:
    """Whether `warp` can do it: float32 volumes (B, C, X, Y, Z) and (B, 3, X, Y, Z) on a CPU with the library."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False  # both want torch's own operators
    return (
        library.load() is not None
        and image.dim() == 5
        and image.shape[0] == displacement.shape[0]
        and image.shape[2:].numel() <= _MOST
        and all(type(x) is Tensor for x in (image, displacement))  # others, as fake ones, may have no memory
        and all(x.device.type == "cpu" and x.dtype == torch.float32 for x in (image, displacement))
    )


def warp(image: Tensor, displacement: Tensor) -> Tensor:
    """The volume (B, C, X, Y, Z) where the displacement (B, 3, X, Y, Z), in voxels, leads; see `takes`.

    Differentiable once, by both.
    """
    warped: Tensor = _Warp.apply(image, displacement)
    return warped


class _Warp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, displacement: Tensor) -> Tensor:
        image, displacement = image.contiguous(), displacement.contiguous()
        ctx.save_for_backward(image, displacement)
        out = torch.empty_like(image)
        with torch.profiler.record_function("medmamba::warp"):
            library.call("mm_warp_forward", _block(image, displacement, out=out))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, Tensor | None]:
        image, displacement = ctx.saved_tensors
        dout = dout.contiguous()
        dimage, ddisplacement = (
            torch.empty_like(x) if needed else None
            for x, needed in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=True)
        )
        with torch.profiler.record_function("medmamba::warp_backward"):
            block = _block(image, displacement, dout=dout, dimage=dimage, ddisplacement=ddisplacement)
            library.call("mm_warp_backward", block)
        return dimage, ddisplacement


def _block(image: Tensor, displacement: Tensor, **others: Tensor | None) -> WarpArguments:
    batch, channels, depth, height, width = image.shape
    return WarpArguments(
        batch=batch, channels=channels, depth=depth, height=height, width=width, threads=torch.get_num_threads(),
        image=image, displacement=displacement, **others,
    )  # fmt: skip
