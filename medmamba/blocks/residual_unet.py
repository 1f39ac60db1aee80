"""The residual U-Net around U-Mamba's layers: encoder and decoder, 2-D and 3-D, stage by stage as a plan says."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dims import conv
from .residual import IdentityBlock, ShortcutBlock

Sizes = Sequence[Sequence[int]]


class UNetStyle:
    """What all convolution blocks of one network share."""

    def __init__(self, conv_bias: bool, norm: Mapping[str, Any], slope: float) -> None:
        self.conv_bias, self.norm, self.slope = conv_bias, dict(norm), slope

    def stage(
        self, width_in: int, width: int, kernel: Sequence[int], stride: Sequence[int] | int, blocks: int
    ) -> nn.Module:
        """One `ShortcutBlock`, then `blocks` - 1 `IdentityBlock`s."""
        first = ShortcutBlock(width_in, width, kernel, stride, self.norm, self.slope)
        rest = [IdentityBlock(width, kernel, self.conv_bias, self.norm, self.slope) for _ in range(blocks - 1)]
        return nn.Sequential(first, *rest)


class UNetEncoder(nn.Module):
    """Stem and stages; `layers`, if any, follow the stages one by one. Returns the maps of all stages."""

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        kernels: Sizes,
        strides: Sizes,
        blocks: list[int],
        style: UNetStyle,
        layers: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.stem = style.stage(channels, widths[0], kernels[0], 1, blocks[0])
        if layers:
            self.mamba_layers = nn.ModuleList(layers)
        inputs = [widths[0], *widths[:-1]]
        self.stages = nn.ModuleList(
            style.stage(a, b, k, s, n) for a, b, k, s, n in zip(inputs, widths, kernels, strides, blocks, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, *spatial) -> one map per stage, fine to coarse."""
        x = self.stem(x)
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if hasattr(self, "mamba_layers"):
                x = self.mamba_layers[i](x)
            maps.append(x)
        return maps


class _Upsample(nn.Module):
    """Nearest interpolation and a 1x1 convolution; the convolution goes first, which is the same and cheaper."""

    def __init__(self, width_in: int, width: int, factor: Sequence[int]) -> None:
        super().__init__()
        self.factor = tuple(float(f) for f in factor)
        self.conv = conv(len(factor))(width_in, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *factor * spatial)."""
        return F.interpolate(self.conv(x), scale_factor=list(self.factor), mode="nearest")


class UNetDecoder(nn.Module):
    """From the deepest map up; one segmentation head per stage, finest output first.

    `deep_supervision` is nnU-Net's switch. In 2-D the finest stage does not use its skip, as in U-Mamba's original.
    """

    def __init__(
        self,
        num_classes: int,
        widths: Sequence[int],
        kernels: Sizes,
        strides: Sizes,
        blocks: list[int],
        style: UNetStyle,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        stages, ups, heads = [], [], []
        self.skips_finest = len(kernels[0]) == 3
        for s, blocks_here in enumerate(blocks):
            level = len(widths) - 2 - s
            width = widths[level]
            joined = 2 * width if level > 0 or self.skips_finest else width
            ups.append(_Upsample(widths[level + 1], width, strides[level + 1]))
            stages.append(style.stage(joined, width, kernels[level], 1, blocks_here))
            heads.append(conv(len(kernels[0]))(width, num_classes, 1))
        self.stages = nn.ModuleList(stages)
        self.upsample_layers = nn.ModuleList(ups)
        self.seg_layers = nn.ModuleList(heads)

    def forward(self, maps: list[Tensor]) -> Tensor | list[Tensor]:
        """The encoder's maps -> logits of the finest stage, or of all stages with deep supervision."""
        x = maps[-1]
        outputs = []
        for s, (up, stage, head) in enumerate(zip(self.upsample_layers, self.stages, self.seg_layers, strict=True)):
            level = len(maps) - 2 - s
            x = up(x)
            x = stage(torch.cat([x, maps[level]], dim=1) if level > 0 or self.skips_finest else x)
            if self.deep_supervision or level == 0:
                outputs.append(head(x))
        return outputs[::-1] if self.deep_supervision else outputs[-1]
