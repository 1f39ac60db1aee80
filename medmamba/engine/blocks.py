"""Our convolution blocks with norm, addition and activation as one step. A form is its block with another forward."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..blocks import residual
from ..blocks.tokens import from_tokens, to_tokens
from ..networks import lightm_unet, mambamorph, segmamba, segmamba_v2
from .norms import normalised


class ShortcutBlock(residual.ShortcutBlock):
    """U-Mamba's residual block with a convolved shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial / stride)."""
        y = normalised(self.conv1(x), self.norm1, self.slope, overwrite=True)
        return normalised(self.conv2(y), self.norm2, residual=self.conv3(x), outer=self.slope, overwrite=True)


class IdentityBlock(residual.IdentityBlock):
    """U-Mamba's residual block with a plain shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        one, two = self.conv1, self.conv2
        y = normalised(one.conv(x), one.norm, self.slope, overwrite=True)
        return normalised(two.conv(y), two.norm, residual=x, outer=self.slope, overwrite=True)


class UnetrResidual(residual.UnetrResidual):
    """UNETR's residual block."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial)."""
        y = self.conv2(normalised(self.conv1(x), slope=0.01, overwrite=True))
        if self.conv3 is None:
            return normalised(y, residual=x, outer=0.01, overwrite=True)
        return normalised(y, residual=self.conv3(x), residual_norm=None, outer=0.01, overwrite=True)


class SpatialConv(segmamba.SpatialConv):
    """SegMamba's spatial convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        deep = normalised(self.proj(x), slope=0.0, overwrite=True)
        deep = normalised(self.proj2(deep), slope=0.0, overwrite=True)
        both = normalised(self.proj3(x), slope=0.0, residual=deep, overwrite=True)
        return normalised(self.proj4(both), slope=0.0, residual=x, overwrite=True)


class Normalise(segmamba.Normalise):
    """Instance norm without parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return normalised(x)


class StageEncoder(segmamba.StageEncoder):
    """SegMamba's encoder: the skip's norm."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, *spatial) -> one skip per stage, fine to coarse."""
        skips = []
        for down, convs, stage, mlp in zip(self.downsample_layers, self.gscs, self.stages, self.mlps, strict=True):
            x = stage(convs(down(x)))
            skips.append(mlp(normalised(x)))
        return skips


class ConvUnit(segmamba_v2._ConvUnit):
    """SegMamba-V2's convolution, norm and ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return normalised(self.block(x), slope=0.0, overwrite=True)


class MixerBlock(lightm_unet.MixerBlock):
    """LightM-UNet's encoder block."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        y = self.conv1(normalised(x, self.norm1, 0.0))
        return x + self.conv2(normalised(y, self.norm2, 0.0, overwrite=True))


class UpBlock(lightm_unet.UpBlock):
    """LightM-UNet's decoder block."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        y = self.conv(normalised(x, self.norm1, 0.0))
        y = torch.add(y, x, alpha=self.skip_scale.item())
        return normalised(y, self.norm2, 0.0, overwrite=True)


class ScaledMixerLayer(lightm_unet.ScaledMixerLayer):
    """LightM-UNet's mixer layer, its scaled addition as one step."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial)."""
        tokens = to_tokens(x)
        mixed = torch.add(self.mamba(self.norm(tokens)), tokens, alpha=self.skip_scale.item())
        return from_tokens(self.proj(self.norm(mixed)), x.shape[2:])


class ActivatedConv(mambamorph.ActivatedConv):
    """VoxelMorph's convolution and activation."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial / stride)."""
        return F.leaky_relu_(self.main(x), 0.2)


class FeatureExtractor(mambamorph.FeatureExtractor):
    """MambaMorph's features, handed on in float32: torch's overlapping 3-D pooling takes no bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, input_channels, *spatial) -> (B, 16, *spatial)."""
        return super().forward(x).float()
