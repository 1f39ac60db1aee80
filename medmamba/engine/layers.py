"""Convolutions and linear layers for channels-innermost maps, each in the form that is fastest on a CPU.

They take any layout and floating type and hand on channels-innermost maps in their own type. Measured in fp32 on one
AVX2 core with memory reused, on maps of 96^3 voxels:

    3x3x3 64 -> 32         1.08 s channels-first, 1.02 s channels-innermost (oneDNN), 0.55 s Winograd
    1x1x1 64 -> 32         0.45 s as a convolution, 0.06 s as a product
    3x3x3 1 -> 32          0.11 s channels-first, 0.04 s as a product
    transposed 128 -> 64   0.77 s channels-first, 0.29 s channels-innermost, 0.21 s as a product
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..kernels import winograd
from .maps import as_map, innermost, rows

_FEW = 2
"""Up to so many input channels a 3-D convolution is a product with the gathered neighbours."""
_IN_CACHE = 1 << 20
"""Numbers of an intermediate result that shall stay in the cache."""

AnyConv = nn.Conv2d | nn.Conv3d
AnyTransposed = nn.ConvTranspose2d | nn.ConvTranspose3d


def _parameter(x: Tensor) -> nn.Parameter:
    return nn.Parameter(x, requires_grad=False)


def _all(values: Sequence[int], value: int) -> bool:
    return all(v == value for v in values)


@cache
def _onednn_takes(dtype: torch.dtype) -> bool:
    """Whether torch's oneDNN convolves maps of `dtype` on this CPU."""
    if dtype is torch.float32:
        return torch.backends.mkldnn.is_available()
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return torch.backends.mkldnn.is_available() and supported is not None and bool(supported())


class Linear(nn.Module):
    """`torch.nn.Linear` that takes any floating type."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = _parameter(linear.weight.detach().to(dtype))
        self.bias = None if linear.bias is None else _parameter(linear.bias.detach().to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., O)."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class Convolution(nn.Module):
    """A convolution by oneDNN with channels innermost in input, weight and output."""

    def __init__(self, conv: AnyConv, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = _parameter(innermost(conv.weight.detach(), dtype))
        self.bias = None if conv.bias is None else _parameter(conv.bias.detach().to(dtype))
        self.stride, self.dilation, self.groups = conv.stride, conv.dilation, conv.groups
        self.padding: tuple[int, ...] | str = conv.padding
        self.convolve = F.conv2d if conv.weight.dim() == 4 else F.conv3d

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> (B, O, *spatial')."""
        dtype = self.weight.dtype
        x = innermost(x, dtype)
        if _onednn_takes(dtype) and not isinstance(self.padding, str) and x.numel() > 0:
            # Asked by name: torch would send small maps to its own slow kernel, which copies weight and map first.
            return torch.mkldnn_convolution(
                x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups
            )
        if dtype is torch.bfloat16 and not _onednn_takes(dtype):  # torch's own kernel for it is slower than the detour
            return self._convolved(x.float(), torch.float32).to(dtype)
        return self._convolved(x, dtype)

    def _convolved(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """torch's choice of a convolution, in `dtype`."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return self.convolve(x, self.weight.to(dtype), bias, self.stride, self.padding, self.dilation, self.groups)


class Winograd(nn.Module):
    """A float32 convolution of kernel 3 and stride 1 by the compiled library: see `medmamba.kernels.winograd`."""

    def __init__(self, conv: AnyConv) -> None:
        super().__init__()
        self.weight = _parameter(winograd.transformed(conv.weight))
        self.bias = None if conv.bias is None else _parameter(conv.bias.detach().float().contiguous())
        self.outputs = conv.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> (B, O, *spatial)."""
        x = innermost(x, torch.float32)
        # Sizes of 1 leave the strides open; the library wants channels innermost even then.
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
        return winograd.convolve(x, self.weight, self.bias, self.outputs)


class Pointwise(nn.Module):
    """A convolution of kernel 1: one product over all voxels. `first`: write the result with channels first."""

    def __init__(self, conv: AnyConv, dtype: torch.dtype, first: bool = False) -> None:
        super().__init__()
        self.weight = _parameter(conv.weight.detach().to(dtype))
        self.bias = None if conv.bias is None else _parameter(conv.bias.detach().to(dtype))
        self.stride, self.first = conv.stride, first

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> (B, O, *spatial / stride)."""
        if not _all(self.stride, 1):
            steps = tuple(slice(None, None, s) for s in self.stride)
            x = x[(slice(None), slice(None), *steps)]
        voxels, weight = rows(innermost(x, self.weight.dtype)), self.weight.flatten(1)
        if not self.first:
            return as_map(F.linear(voxels, weight, self.bias), x.shape[2:])
        out = torch.matmul(weight, voxels.transpose(1, 2))
        if self.bias is not None:
            out += self.bias[:, None]
        return out.unflatten(2, x.shape[2:])


class FewChannels(nn.Module):
    """A 3-D convolution of stride 1 on one or two channels: gathered neighbours, then a product, some planes at a time.

    oneDNN fills its vectors with channels, of which there are too few here.
    """

    def __init__(self, conv: nn.Conv3d, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = _parameter(conv.weight.detach().to(dtype))
        self.bias = None if conv.bias is None else _parameter(conv.bias.detach().to(dtype))
        assert not isinstance(conv.padding, str)
        self.kernel, self.padding = conv.kernel_size, conv.padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, O, D', H', W')."""
        weight = self.weight.flatten(1).t()
        pads = [p for pad in reversed(self.padding) for p in (pad, pad)]
        padded = F.pad(x.to(self.weight.dtype).contiguous(), pads)
        size = [n - k + 1 for n, k in zip(padded.shape[2:], self.kernel, strict=True)]
        out = padded.new_empty(x.shape[0], *size, weight.shape[1])
        plane = size[1] * size[2]
        step = max(1, _IN_CACHE // (weight.shape[0] * plane))
        for sample, result in zip(padded, out, strict=True):
            for start in range(0, size[0], step):
                self._planes(sample, result[start : start + step], start, weight)
        return out.movedim(-1, 1)

    def _planes(self, sample: Tensor, result: Tensor, start: int, weight: Tensor) -> None:
        """Planes `start` and following of one padded sample (C, D, H, W) into `result` (planes, H', W', O)."""
        n, height, width = result.shape[:3]
        neighbours = sample.new_empty(weight.shape[0], n, height, width)
        places = product(range(sample.shape[0]), *map(range, self.kernel))
        for row, (c, i, j, k) in zip(neighbours, places, strict=True):
            row.copy_(sample[c, start + i : start + i + n, j : j + height, k : k + width])
        columns = neighbours.flatten(1).t()
        if self.bias is None:
            torch.mm(columns, weight, out=result.view(-1, weight.shape[1]))
        else:
            torch.addmm(self.bias, columns, weight, out=result.view(-1, weight.shape[1]))


class Upsampling(nn.Module):
    """A transposed convolution whose kernel is its stride: one product, whose results are dealt out to the voxels."""

    def __init__(self, conv: AnyTransposed, dtype: torch.dtype) -> None:
        super().__init__()
        self.factor = conv.kernel_size
        taps = math.prod(self.factor)
        # (C, O, *kernel) -> (*kernel, O) rows of C
        self.weight = _parameter(conv.weight.detach().movedim((0, 1), (-1, -2)).flatten(0, -2).contiguous().to(dtype))
        self.bias = None if conv.bias is None else _parameter(conv.bias.detach().repeat(taps).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> (B, O, *factor * spatial)."""
        x = innermost(x, self.weight.dtype)
        grid, dims = x.shape[2:], len(self.factor)
        channels = self.weight.shape[0] // math.prod(self.factor)
        pairs = [n for pair in zip(grid, self.factor, strict=True) for n in pair]
        out = x.new_empty(x.shape[0], *pairs, channels)
        # (B, *grid, *factor, O): where the product's results belong
        axes = [*range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2)]
        dealt = out.permute(0, *axes, 2 * dims + 1)
        step = max(1, _IN_CACHE // (self.weight.shape[0] * math.prod(grid[1:])))
        voxels = x.movedim(1, -1)
        for sample, place in zip(voxels, dealt, strict=True):
            for start in range(0, grid[0], step):
                part = sample[start : start + step]
                results = F.linear(part.reshape(-1, part.shape[-1]), self.weight, self.bias)
                place[start : start + step].copy_(results.view(*part.shape[:-1], *self.factor, channels))
        return _merged(out, dims)


def _merged(out: Tensor, dims: int) -> Tensor:
    """(B, n1, f1, n2, f2, ..., O) -> (B, O, n1 f1, n2 f2, ...), channels innermost."""
    shape = [out.shape[2 * axis + 1] * out.shape[2 * axis + 2] for axis in range(dims)]
    return out.view(out.shape[0], *shape, out.shape[-1]).movedim(-1, 1)


class AveragePool(nn.Module):
    """Mean over blocks of `size`, in float32, for bfloat16 too (which torch's 3-D pooling does not take)."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> (B, C, *spatial // size)."""
        total: Tensor | None = None
        for start in product(*map(range, self.size)):
            places = [slice(a, a + n // s * s, s) for a, n, s in zip(start, x.shape[2:], self.size, strict=True)]
            part = x[(slice(None), slice(None), *places)]
            total = part.to(torch.float32, copy=True) if total is None else total.add_(part)
        assert total is not None
        return innermost(total.mul_(1 / math.prod(self.size)), x.dtype)


class Cast(nn.Module):
    """A convolution that has no faster form, in another floating type."""

    def __init__(self, conv: AnyConv | AnyTransposed, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv, self.dtype = conv.to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> (B, O, *spatial')."""
        return self.conv(x.to(self.dtype))


def convolution(conv: AnyConv, dtype: torch.dtype, first: bool = False) -> nn.Module:
    """The fastest form of `conv`; `first`: its result may have channels first (an output of the network)."""
    plain = conv.groups == 1 and _all(conv.dilation, 1) and conv.padding_mode == "zeros"
    if conv.padding_mode != "zeros":
        return Cast(conv, dtype)
    if plain and _all(conv.kernel_size, 1) and not isinstance(conv.padding, str) and _all(conv.padding, 0):
        return Pointwise(conv, dtype, first)
    three = isinstance(conv, nn.Conv3d) and conv.in_channels <= _FEW and not isinstance(conv.padding, str)
    if plain and three and _all(conv.stride, 1):
        return FewChannels(conv, dtype)  # type: ignore[arg-type]
    if plain and dtype is torch.float32 and _winograd_pays(conv):
        return Winograd(conv)
    return Convolution(conv, dtype)


def _winograd_pays(conv: AnyConv) -> bool:
    """Kernel 3 (or 1 along the first of three axes), stride 1, padded to the same size, widths in between.

    Below 16 channels the transforms cost more than the products save. The widest layers see small maps only, too small
    for transformed weights of more than 32 MB to be worth their memory.
    """
    kernel = conv.kernel_size
    points = 64 if kernel[0] == 3 and len(kernel) == 3 else 16
    fits = _all(kernel[-2:], 3) and (len(kernel) == 2 or kernel[0] in (1, 3)) and _all(conv.stride, 1)
    padded = conv.padding == tuple(k // 2 for k in kernel) or conv.padding == "same"
    between = min(conv.in_channels, conv.out_channels) >= 16
    between = between and points * conv.in_channels * conv.out_channels <= 1 << 23
    return fits and padded and between and winograd.available()


def pooling(pool: nn.AvgPool2d | nn.AvgPool3d) -> nn.Module:
    """The form of an average pooling whose blocks do not overlap; another one as it is."""
    size, stride, padding = (_sizes(v, pool) for v in (pool.kernel_size, pool.stride, pool.padding))
    plain = size == stride and _all(padding, 0) and not pool.ceil_mode and pool.divisor_override is None
    return AveragePool(size) if plain else pool


def _sizes(value: int | Sequence[int], pool: nn.Module) -> tuple[int, ...]:
    return (value,) * (2 if isinstance(pool, nn.AvgPool2d) else 3) if isinstance(value, int) else tuple(value)


def transposed(conv: AnyTransposed, dtype: torch.dtype) -> nn.Module:
    """The fastest form of a transposed convolution."""
    plain = conv.groups == 1 and _all(conv.dilation, 1) and not any([*conv.output_padding, *conv.padding])
    if plain and conv.kernel_size == conv.stride:
        return Upsampling(conv, dtype)
    return Cast(conv, dtype)
