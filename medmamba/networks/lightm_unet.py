"""LightM-UNet (Liao et al., arXiv 2403.05246): Mamba layers in the encoder, depthwise convolutions in the decoder.

2-D and 3-D in one. Follows the authors' code, which differs from their paper: plain one-direction Mamba layers. It has
5.0 million parameters at the published widths; the 1.9 and 1.1 million of the paper leave the Mamba weights out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.dims import check_dims, check_divisible, max_pool, upsample_linear
from ..blocks.mixers import make_mixer, set_stochastic_shuffle
from ..blocks.residual import BareConv
from ..blocks.supervision import SingleOutput
from ..blocks.tokens import from_tokens, to_tokens
from ..errors import ConfigError
from .originals import only

_GROUPS = 8
_BLOCKS_DOWN = (1, 2, 2, 4)


def _separable(dims: int, channels_in: int, channels_out: int, kernel: int, bias: bool = False) -> nn.Sequential:
    """Depthwise convolution, then a 1x1 convolution."""
    depthwise = BareConv(dims, channels_in, channels_in, kernel, groups=channels_in, bias=bias)
    return nn.Sequential(depthwise, BareConv(dims, channels_in, channels_out, 1, bias=bias))


class ScaledMixerLayer(nn.Module):
    """``proj(norm(mixer(norm(t)) + skip_scale * t))`` on spatial tokens t; one LayerNorm serves both places."""

    def __init__(self, channels_in: int, channels_out: int, mixer: str) -> None:
        super().__init__()
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.norm = nn.LayerNorm(channels_in)
        self.mamba = make_mixer(mixer, channels_in)
        self.proj = nn.Linear(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial)."""
        tokens = to_tokens(x)
        mixed = self.mamba(self.norm(tokens)) + self.skip_scale * tokens
        return from_tokens(self.proj(self.norm(mixed)), x.shape[2:])


class MixerBlock(nn.Module):
    """Residual block of two mixer layers, each after group norm and ReLU."""

    def __init__(self, channels: int, mixer: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(_GROUPS, channels), nn.GroupNorm(_GROUPS, channels)
        self.conv1 = ScaledMixerLayer(channels, channels, mixer)
        self.conv2 = ScaledMixerLayer(channels, channels, mixer)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))


class UpBlock(nn.Module):
    """``relu(norm2(conv(relu(norm1(x))) + skip_scale * x))`` with a separable 3x3 convolution."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.norm1, self.norm2 = nn.GroupNorm(_GROUPS, channels), nn.GroupNorm(_GROUPS, channels)
        self.conv = _separable(dims, channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return F.relu(self.norm2(self.conv(F.relu(self.norm1(x))) + self.skip_scale * x))


class LightMUNet(SingleOutput):
    """LightM-UNet.

    Parameters
    ----------
    input_channels, num_classes: channels in and out.
    spatial_dims: 2 or 3. init_filters: width F of the finest level, a multiple of 8; level i has F * 2^i.
    blocks_down: mixer blocks per level, fine to coarse. blocks_up: blocks per decoder level, one fewer.
    dropout: probability after the first convolution.
    strides: accepted because nnU-Net reads the pooling of a plan from it; the network always halves.
    deep_supervision: nnU-Net's switch; there is one output, returned as a list of one while it is on.
    mixer, stochastic_shuffle: see `medmamba.blocks.mixers`.

    Input (B, input_channels, *spatial), each axis divisible by 2^(levels - 1), else ConfigError.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        spatial_dims: int = 3,
        init_filters: int = 32,
        blocks_down: Sequence[int] = _BLOCKS_DOWN,
        blocks_up: Sequence[int] = (1, 1, 1),
        dropout: float = 0.0,
        strides: Sequence[Sequence[int]] | None = None,
        deep_supervision: bool = False,
        mixer: str = "mamba",
        stochastic_shuffle: float = 0.0,
    ) -> None:
        super().__init__(deep_supervision)
        check_dims(spatial_dims)
        if len(blocks_up) != len(blocks_down) - 1:
            raise ConfigError(
                f"LightM-UNet got {len(blocks_down)} levels down and {len(blocks_up)} up.",
                "blocks_up has one entry fewer than blocks_down.",
            )
        if init_filters % _GROUPS:
            raise ConfigError(f"LightM-UNet's init_filters is {init_filters}.", f"Choose a multiple of {_GROUPS}.")
        widths = [init_filters * 2**i for i in range(len(blocks_down))]
        self.divisor = (2 ** (len(blocks_down) - 1),) * spatial_dims
        self.dropout = dropout
        self.convInit = _separable(spatial_dims, input_channels, init_filters, 3)
        self.down_layers = nn.ModuleList(
            nn.Sequential(_halve(spatial_dims, widths, i, mixer), *(MixerBlock(widths[i], mixer) for _ in range(n)))
            for i, n in enumerate(blocks_down)
        )
        up_widths = widths[-2::-1]
        self.up_layers = nn.ModuleList(
            nn.Sequential(*(UpBlock(spatial_dims, w) for _ in range(n)))
            for w, n in zip(up_widths, blocks_up, strict=True)
        )
        self.up_samples = nn.ModuleList(nn.Sequential(BareConv(spatial_dims, 2 * w, w, 1)) for w in up_widths)
        self.conv_final = nn.Sequential(
            nn.GroupNorm(_GROUPS, init_filters),
            nn.ReLU(),
            _separable(spatial_dims, init_filters, num_classes, 1, bias=True),
        )
        set_stochastic_shuffle(self, stochastic_shuffle)

    @classmethod
    def patch_divisor(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """2^(levels - 1) per axis."""
        return (2 ** (len(config.get("blocks_down", _BLOCKS_DOWN)) - 1),) * len(patch_size)

    @classmethod
    def plan_arguments(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The preset's arguments for as many axes as the patch has."""
        return super().plan_arguments(patch_size, unet_arguments, config) | {"spatial_dims": len(patch_size)}

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, input_channels, *spatial) -> (B, num_classes, *spatial)."""
        check_divisible(x.shape[2:], self.divisor, type(self).__name__)
        x = F.dropout(self.convInit(x), self.dropout, self.training)
        maps = []
        for layer in self.down_layers:
            x = layer(x)
            maps.append(x)
        for sample, layer, skip in zip(self.up_samples, self.up_layers, maps[-2::-1], strict=True):
            x = layer(upsample_linear(sample(x)) + skip)
        return self.respond(self.conv_final(x))


def _halve(dims: int, widths: Sequence[int], level: int, mixer: str) -> nn.Module:
    """Nothing before level 0; elsewhere a mixer layer that doubles the width at the fine resolution, then a pool."""
    if level == 0:
        return nn.Identity()
    return nn.Sequential(ScaledMixerLayer(widths[level - 1], widths[level], mixer), max_pool(dims)(2, 2))


IGNORED_KEYS: tuple[str, ...] = ()


def original_arguments(architecture: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Our constructor's arguments for the original authors' (`LightMUNet`)."""
    direct = ("spatial_dims", "init_filters", "blocks_down", "blocks_up")
    renamed = {"in_channels": "input_channels", "out_channels": "num_classes", "dropout_prob": "dropout"}
    fixed = ("act", "norm", "norm_name", "num_groups", "use_conv_final", "upsample_mode")
    arguments = only(architecture, kwargs, (*direct, *renamed), fixed)
    arguments.setdefault("in_channels", 1)
    arguments.setdefault("out_channels", 2)
    arguments = {renamed.get(k, k): v for k, v in arguments.items()}
    arguments["dropout"] = arguments.get("dropout") or 0.0
    return {"init_filters": 8, **arguments}
