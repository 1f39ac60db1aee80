"""Convolution of kernel 3 by Winograd's minimal filtering, float32, channels last. Inference only.

Per axis two neighbouring outputs cost four products instead of six (F(2, 3); Lavin and Gray, arXiv 1509.09308): in
three dimensions 3.4 times fewer than the direct convolution, which runs at the limit of the CPU already. The result is
as exact as the direct one (2e-7 relative). torch's convolution is the twin.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from . import library
from .arguments import WinogradArguments

_PANEL = 32  # outputs side by side in the weights, as in csrc/winograd.inl
_FILTER = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)


def available() -> bool:
    """Whether the compiled library is there and runs on wide vectors, without which nothing is gained."""
    return library.isa() in ("avx2", "avx512")


def transformed(weight: Tensor) -> Tensor:
    """The weights (O, C, 3, 3) or (O, C, 1 or 3, 3, 3) as `convolve` takes them: (points, O / 32 rounded up, C, 32).

    Takes 64 / 27 of the weights' memory for a kernel of three planes, 16 / 9 in the plane.
    """
    points = weight.detach().double()
    for axis in range(2, weight.dim()):
        if weight.shape[axis] == 3:
            points = torch.tensordot(points, _FILTER, dims=([axis], [1])).movedim(-1, axis)
    columns = points.flatten(2).permute(2, 1, 0)
    panels = F.pad(columns, (0, -columns.shape[2] % _PANEL)).unflatten(2, (-1, _PANEL))
    return panels.transpose(1, 2).float().contiguous()


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, outputs: int) -> Tensor:
    """Convolution of stride 1 with zero padding 1 along the axes of kernel 3.

    Parameters
    ----------
    x: (B, C, H, W) or (B, C, D, H, W), float32, channels innermost and dense. weight: of `transformed`. bias: (O,).
    outputs: O.

    Returns (B, O, *spatial), channels innermost. Raises ConfigError for what does not fit.
    """
    _check(x, weight, bias, outputs)
    spatial = x.shape[2:]
    out = x.new_empty(x.shape[0], *spatial, outputs)
    depth, height, width = cast(tuple[int, int, int], (1, *spatial) if len(spatial) == 2 else tuple(spatial))
    block = WinogradArguments(
        batch=x.shape[0], depth=depth, height=height, width=width, channels=x.shape[1], outputs=outputs,
        planes=3 if weight.shape[0] == 64 else 1, threads=torch.get_num_threads(),
        x=x, weight=weight, bias=bias, out=out,
    )  # fmt: skip
    with torch.profiler.record_function("medmamba::convolution"):  # by this name a profile shows it
        library.call("mm_winograd", block)
    return out.movedim(-1, 1)


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, outputs: int) -> None:
    """ConfigError unless the library can take these: it reads memory as it is told."""
    tensors = [x, weight] if bias is None else [x, weight, bias]
    if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in tensors):
        found = ", ".join(sorted({f"{t.dtype} on {t.device}".removeprefix("torch.") for t in tensors}))
        raise ConfigError(f"Winograd's convolution takes float32 on a CPU, not {found}.")
    if torch.jit.is_tracing():
        raise ConfigError("Winograd's convolution cannot be traced.", "Trace the original network.")
    panels = -(-outputs // _PANEL)
    if x.dim() not in (4, 5) or weight.shape[0] not in (16, 64) or (x.dim() == 4 and weight.shape[0] == 64):
        raise ConfigError(f"Winograd's convolution cannot take a map of shape {tuple(x.shape)} with these weights.")
    if weight.shape[1:] != (panels, x.shape[1], _PANEL) or not (bias is None or bias.shape == (outputs,)):
        wanted = f"{weight.shape[2]} channels to at most {weight.shape[1] * _PANEL} outputs"
        raise ConfigError(f"Winograd's weights are for {wanted}, not for {x.shape[1]} to {outputs}.")
    if not (x.movedim(1, -1).is_contiguous() and weight.is_contiguous() and (bias is None or bias.is_contiguous())):
        raise ConfigError("Winograd's convolution needs a map with its channels innermost and dense.")
