"""SegMamba-V2 (Xing et al., IEEE TMI 2025, doi 10.1109/TMI.2025.3589797), 3-D.

Large-kernel convolutions in all stages; Mamba layers in the two deepest, each with one plain scan that runs three times
over differently ordered axes with shared weights.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.conv3d import Conv3d
from ..blocks.mixers import make_mixer, set_stochastic_shuffle
from ..blocks.tokens import from_tokens, to_tokens
from .segmamba import IGNORED_KEYS, SegMambaFrame, StageEncoder, original_arguments

__all__ = ["IGNORED_KEYS", "SegMambaV2", "original_arguments"]

# Axis orders of the three scans. Each is its own inverse: as is, the first two axes swapped, all three reversed.
_ORDERS = ((0, 1, 2), (1, 0, 2), (2, 1, 0))


class _ConvUnit(nn.Module):
    """Convolution with bias, instance norm without parameters, ReLU."""

    def __init__(self, channels: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.block = nn.Sequential(Conv3d(channels, channels, kernel, padding=padding, dilation=dilation))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return F.relu(F.instance_norm(self.block(x)))


class _SqueezeExcitation(nn.Module):
    """Channel weights from the global mean."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        inner = max(channels // reduction, 1)
        self.fc = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return x * self.fc(x.mean((2, 3, 4)))[:, :, None, None, None]


class LargeKernelBlock(nn.Module):
    """A deep path (5, 3, 3 dilated by 2), a short path (3, 1) and the identity added, then squeeze-excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deep_path = nn.Sequential(
            _ConvUnit(channels, 5), _ConvUnit(channels, 3), _ConvUnit(channels, 3, dilation=2)
        )
        self.shortcut_path = nn.Sequential(_ConvUnit(channels, 3), _ConvUnit(channels, 1))
        self.se = _SqueezeExcitation(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return self.se(self.deep_path(x) + self.shortcut_path(x) + x)


class AxisMambaLayer(nn.Module):
    """x plus one mixer applied to x in three axis orders, with the same weights each time."""

    def __init__(self, channels: int, mixer: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mamba = make_mixer(mixer, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        out = x
        for order in _ORDERS:
            axes = (0, 1, *(2 + axis for axis in order))
            turned = x.permute(axes)
            tokens = self.mamba(self.norm(to_tokens(turned)))
            out = out + from_tokens(tokens, turned.shape[2:]).permute(axes)
        return out


class SegMambaV2(SegMambaFrame):
    """SegMamba-V2.

    Parameters
    ----------
    input_channels, num_classes: channels in and out.
    depths: blocks per stage (large-kernel blocks, and Mamba layers where the stage has them).
    features: width per stage. hidden_size: width at the bottom of the decoder.
    mamba_stages: stages with Mamba layers, counted from 0.
    strides: accepted because nnU-Net reads the pooling of a plan from it; the network always halves.
    deep_supervision: nnU-Net's switch; there is one output, returned as a list of one while it is on.
    mixer, stochastic_shuffle: see `medmamba.blocks.mixers`.

    Input (B, input_channels, D, H, W), each axis divisible by 16, else ConfigError.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        depths: Sequence[int] = (2, 2, 2, 2),
        features: Sequence[int] = (48, 96, 192, 384),
        hidden_size: int = 768,
        mamba_stages: Sequence[int] = (2, 3),
        strides: Sequence[Sequence[int]] | None = None,
        deep_supervision: bool = False,
        mixer: str = "mamba",
        stochastic_shuffle: float = 0.0,
    ) -> None:
        super().__init__(input_channels, num_classes, features, hidden_size, deep_supervision)
        inputs = [features[0], *features[:-1]]
        downs = [nn.Sequential(Conv3d(a, b, 3, 2, 1)) for a, b in zip(inputs, features, strict=True)]
        convs = [
            nn.Sequential(*(LargeKernelBlock(f) for _ in range(depth)))
            for f, depth in zip(features, depths, strict=True)
        ]
        stages = [
            nn.Sequential(*(AxisMambaLayer(f, mixer) for _ in range(depth if i in mamba_stages else 0)))
            for i, (f, depth) in enumerate(zip(features, depths, strict=True))
        ]
        self.vit = StageEncoder(features, downs, convs, stages)
        set_stochastic_shuffle(self, stochastic_shuffle)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, input_channels, D, H, W) -> (B, num_classes, D, H, W)."""
        self.check_input(x)
        finest = self.encoder1(x)
        return self.decode(finest, self.vit(finest))
