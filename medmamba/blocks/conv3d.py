"""A 3-D convolution that trains at full speed on CPUs without AVX-512.

There torch has no fast kernel for the weight gradient of a 3-D convolution: it takes ten to thirty times as long as the
forward. Here that gradient is one matrix product per tap. With stride 1 input and output gradient lie on one padded
grid, so that a tap is an offset into flat memory and nothing is copied for it. It also runs where torch's is wrong in
bfloat16, see `_wrong_in_torch`. Everywhere else (GPU, AVX-512, groups, dilation) torch's own runs.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Triple = tuple[int, int, int]

# Read once: torch.compile cannot trace the question.
_WIDE_VECTORS = torch.backends.cpu.get_cpu_capability() in ("AVX512", "SVE256")


def weight_gradient(x: Tensor, dy: Tensor, kernel: Triple, stride: Triple, padding: Triple) -> Tensor:
    """Gradient of a 3-D convolution's weight (O, C, *kernel) for its input (B, C, ...) and dy (B, O, ...)."""
    taps = (
        _taps_on_one_grid(x, dy, padding, kernel)
        if stride == (1, 1, 1)
        else _taps_apart(x, dy, kernel, stride, padding)
    )
    return torch.stack(taps, dim=-1).unflatten(-1, kernel)


def _taps_on_one_grid(x: Tensor, dy: Tensor, padding: Triple, kernel: Triple) -> list[Tensor]:
    """Stride 1: the (O, C) gradient of every tap, from flat memory at the tap's offset."""
    (pd, ph, pw), size = padding, dy.shape[2:]
    flat_x = F.pad(x, (pw, pw, ph, ph, pd, pd)).transpose(0, 1)
    grid = flat_x.shape[2:]
    room = [g - s for g, s in zip(grid, size, strict=True)]
    flat_dy = F.pad(dy, (0, room[2], 0, room[1], 0, room[0])).transpose(0, 1).flatten(1)
    flat_x = flat_x.flatten(1)
    # The output gradient is zero on the padding, so reading past a row, plane or image adds nothing.
    reach = ((kernel[0] - 1) * grid[1] + kernel[1] - 1) * grid[2] + kernel[2] - 1
    length = flat_x.shape[1] - reach
    rows = flat_dy[:, :length]
    offsets = [(i * grid[1] + j) * grid[2] + k for i, j, k in product(*map(range, kernel))]
    return [rows @ flat_x[:, o : o + length].t() for o in offsets]


def _taps_apart(x: Tensor, dy: Tensor, kernel: Triple, stride: Triple, padding: Triple) -> list[Tensor]:
    """Any stride: the (O, C) gradient of every tap, from the voxels that the tap meets."""
    (pd, ph, pw), size = padding, dy.shape[2:]
    channels = F.pad(x, (pw, pw, ph, ph, pd, pd)).transpose(0, 1)
    rows = dy.transpose(0, 1).flatten(1)
    taps = []
    for start in product(*map(range, kernel)):
        met = [slice(a, a + s * (n - 1) + 1, s) for a, s, n in zip(start, stride, size, strict=True)]
        taps.append(rows @ channels[:, :, met[0], met[1], met[2]].flatten(1).t())
    return taps


class _Convolution(torch.autograd.Function):
    """torch's forward and input gradient, our weight gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Triple, padding: Triple) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.options = stride, padding
        return F.conv3d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.options
        dx = dw = db = None
        if ctx.needs_input_grad[0]:
            dx, _, _ = torch.ops.aten.convolution_backward(
                dy, x, weight, None, stride, padding, (1, 1, 1), False, (0, 0, 0), 1, (True, False, False)
            )
        if ctx.needs_input_grad[1]:
            dw = weight_gradient(x, dy, tuple(weight.shape[2:]), stride, padding)
        if ctx.needs_input_grad[2]:
            db = dy.sum((0, 2, 3, 4))
        return dx, dw, db, None, None


def _slow_in_torch(x: Tensor) -> bool:
    """Whether torch's weight gradient is the slow one for `x`."""
    plain = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
    return plain and x.device.type == "cpu" and not _WIDE_VECTORS


def _wrong_in_torch(x: Tensor) -> bool:
    """Whether torch's weight gradient reads memory that nobody wrote, and is NaN where that holds a NaN.

    oneDNN 3.x with AVX-512: bfloat16 maps of two slices, kernel 3, padding 1 (the bottleneck of a small patch).
    """
    half = x.dtype == torch.bfloat16 or (
        torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    return half and x.device.type == "cpu" and x.dim() == 5 and x.shape[2] == 2


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d` with a fast and right weight gradient on every CPU; same arguments, state dict and result."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, O, D', H', W')."""
        usual = self.groups == 1 and self.dilation == (1, 1, 1) and self.padding_mode == "zeros"
        trains = torch.is_grad_enabled() and self.weight.requires_grad
        if usual and trains and not isinstance(self.padding, str) and _slow_in_torch(x):
            return _Convolution.apply(x, self.weight, self.bias, self.stride, self.padding)
        if usual and trains and not isinstance(self.padding, str) and _wrong_in_torch(x):
            half = [None if value is None else value.bfloat16() for value in (x, self.weight, self.bias)]
            return _Convolution.apply(*half, self.stride, self.padding)
        return super().forward(x)
