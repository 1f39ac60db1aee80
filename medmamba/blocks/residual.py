"""Residual convolution blocks, 2-D and 3-D in one. Attribute names are those of the original checkpoints."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dims import conv, instance_norm, transposed_conv

_NORM: Mapping[str, Any] = {"eps": 1e-5, "affine": True}


class ShortcutBlock(nn.Module):
    """U-Mamba's residual block: the shortcut is always a 1x1 convolution (with the stride), without norm.

    ``act(norm2(conv2(act(norm1(conv1(x))))) + conv3(x))`` with LeakyReLU; kernel and stride per axis, odd kernels.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: Sequence[int],
        stride: Sequence[int] | int = 1,
        norm: Mapping[str, Any] = _NORM,
        slope: float = 0.01,
    ) -> None:
        super().__init__()
        dims, padding = len(kernel), tuple(k // 2 for k in kernel)
        stride = (stride,) * dims if isinstance(stride, int) else tuple(stride)
        self.slope = slope
        self.conv1 = conv(dims)(channels_in, channels_out, tuple(kernel), stride, padding)
        self.norm1 = instance_norm(dims)(channels_out, **norm)
        self.conv2 = conv(dims)(channels_out, channels_out, tuple(kernel), 1, padding)
        self.norm2 = instance_norm(dims)(channels_out, **norm)
        self.conv3 = conv(dims)(channels_in, channels_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial / stride)."""
        y = F.leaky_relu(self.norm1(self.conv1(x)), self.slope)
        return F.leaky_relu(self.norm2(self.conv2(y)) + self.conv3(x), self.slope)


class ConvNorm(nn.Module):
    """Convolution and instance norm under the names `conv` and `norm`."""

    def __init__(self, channels: int, kernel: Sequence[int], bias: bool, norm: Mapping[str, Any] = _NORM) -> None:
        super().__init__()
        dims = len(kernel)
        self.conv = conv(dims)(channels, channels, tuple(kernel), 1, tuple((k - 1) // 2 for k in kernel), bias=bias)
        self.norm = instance_norm(dims)(channels, **norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return self.norm(self.conv(x))


class IdentityBlock(nn.Module):
    """Residual block of constant width with a plain identity: ``act(convnorm2(act(convnorm1(x))) + x)``, LeakyReLU."""

    def __init__(
        self,
        channels: int,
        kernel: Sequence[int],
        bias: bool = True,
        norm: Mapping[str, Any] = _NORM,
        slope: float = 0.01,
    ) -> None:
        super().__init__()
        self.slope = slope
        self.conv1 = ConvNorm(channels, kernel, bias, norm)
        self.conv2 = ConvNorm(channels, kernel, bias, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), self.slope)) + x, self.slope)


class BareConv(nn.Module):
    """A convolution under the name `conv`, without bias unless asked; odd kernel, size kept at stride 1."""

    def __init__(
        self, dims: int, channels_in: int, channels_out: int, kernel: int, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__()
        self.conv = conv(dims)(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial)."""
        return self.conv(x)


class UnetrResidual(nn.Module):
    """UNETR's residual block: two 3x3x3 convolutions without bias, instance norm without parameters, LeakyReLU 0.01.

    The shortcut is the identity where the width stays, else a normalised 1x1x1 convolution.
    """

    def __init__(self, dims: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = BareConv(dims, channels_in, channels_out, 3)
        self.conv2 = BareConv(dims, channels_out, channels_out, 3)
        self.conv3 = BareConv(dims, channels_in, channels_out, 1) if channels_in != channels_out else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial)."""
        y = F.leaky_relu(F.instance_norm(self.conv1(x)), 0.01)
        y = F.instance_norm(self.conv2(y))
        shortcut = x if self.conv3 is None else F.instance_norm(self.conv3(x))
        return F.leaky_relu(y + shortcut, 0.01)


class UnetrBlock(nn.Module):
    """A `UnetrResidual` under the name `layer`."""

    def __init__(self, dims: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.layer = UnetrResidual(dims, channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial)."""
        return self.layer(x)


class UnetrUp(nn.Module):
    """Transposed convolution by 2, concatenation [upsampled, skip], residual block."""

    def __init__(self, dims: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.transp_conv = nn.ModuleDict({"conv": transposed_conv(dims)(channels_in, channels_out, 2, 2, bias=False)})
        self.conv_block = UnetrResidual(dims, 2 * channels_out, channels_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, C_in, *spatial) and skip (B, C_out, *2 spatial) -> (B, C_out, *2 spatial)."""
        return self.conv_block(torch.cat([self.transp_conv["conv"](x), skip], dim=1))
