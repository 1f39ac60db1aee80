"""MambaMorph (Guo et al., arXiv 2401.13934): deformable registration of two volumes, moving onto fixed.

One class for the three published networks: with learnt features (`MambaMorphFeat`, the paper's), without
(`MambaMorph`), and also without the diffeomorphic integration (`MambaMorphOri`). Follows the authors' code: one Mamba
layer per stage, no residual around it, and the tokens are scanned once, in memory order.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.conv3d import Conv3d
from ..blocks.dims import check_divisible, upsample_linear
from ..blocks.mixers import set_stochastic_shuffle
from ..blocks.pyramid import MixerPyramid
from ..blocks.warp import integrate, warp
from ..errors import ConfigError
from .originals import only

_PATCH = 4  # the decoder's two convolutional levels, at 1/2 and at full size, are what doubles it back
_FEATURES = 16
_STAGES = 3


def _divisor(stages: int) -> tuple[int, int, int]:
    side = _PATCH * 2 ** (stages - 1)
    return side, side, side


class ActivatedConv(nn.Module):
    """3x3x3 convolution with bias under the name `main`, then LeakyReLU 0.2. Kaiming-normal weights, zero bias."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.main = Conv3d(channels_in, channels_out, 3, stride, 1)
        nn.init.kaiming_normal_(self.main.weight)
        if self.main.bias is not None:
            nn.init.zeros_(self.main.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial / stride)."""
        return F.leaky_relu(self.main(x), 0.2)


class FeatureExtractor(nn.Module):
    """VoxelMorph's U-Net: two levels down, two up, two convolutions at full size; 16 channels throughout."""

    def __init__(self, input_channels: int) -> None:
        super().__init__()
        down, up = (input_channels, _FEATURES), (_FEATURES, 2 * _FEATURES)
        self.encoder = nn.ModuleList(nn.Sequential(ActivatedConv(c, _FEATURES)) for c in down)
        self.decoder = nn.ModuleList(nn.Sequential(ActivatedConv(c, _FEATURES)) for c in up)
        self.remaining = nn.ModuleList(ActivatedConv(c, _FEATURES) for c in (2 * _FEATURES, _FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        """(B, input_channels, *spatial), even at two levels -> (B, 16, *spatial)."""
        kept = []
        for level in self.encoder:
            kept.append(level(x))
            x = F.max_pool3d(kept[-1], 2)
        for level in self.decoder:
            x = torch.cat([F.interpolate(level(x), scale_factor=2, mode="nearest"), kept.pop()], dim=1)
        for layer in self.remaining:
            x = layer(x)
        return x


def _conv_norm(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3x3 convolution without bias, instance norm without parameters, LeakyReLU 0.01."""
    conv = Conv3d(channels_in, channels_out, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.InstanceNorm3d(channels_out), nn.LeakyReLU(0.01))


class UpBlock(nn.Module):
    """Trilinear upsampling by 2, concatenation [upsampled, skip], two convolutions."""

    def __init__(self, channels_in: int, channels_skip: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(channels_in + channels_skip, channels_out)
        self.conv2 = _conv_norm(channels_out, channels_out)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """(B, C_in, *spatial) and, if built for one, skip (B, C_skip, *2 spatial) -> (B, C_out, *2 spatial)."""
        x = upsample_linear(x)
        return self.conv2(self.conv1(x if skip is None else torch.cat([x, skip], dim=1)))


def _small_conv(channels_in: int) -> nn.Conv3d:
    """The head's convolution to three displacements, so near to zero that an untrained network is the identity."""
    conv = Conv3d(channels_in, 3, 3, padding=1)
    nn.init.normal_(conv.weight, 0, 1e-5)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class MambaMorph(nn.Module):
    """MambaMorph.

    Parameters
    ----------
    input_channels: of each of the two images.
    embed_dim: width E of the finest Mamba stage; stage i has E * 2^i. stages: Mamba stages, one layer each.
    reg_head_chan: channels at full size before the registration head.
    d_state, d_conv, expand: of the Mamba layers. position_code: add the sinusoidal code. patch_norm: LayerNorm after
    the patch embedding. dropout: after the patch embedding.
    trans_skip, conv_skip: hand the maps of the Mamba stages, and of two plain convolutions, on to the decoder.
    feature_extractor: register 16 learnt features of each image instead of the intensities.
    diffeomorphic: the head's output is a velocity, integrated in `integration_steps` squarings; else the displacement.
    symmetric: also run the pair the other way round and give the mean of the velocity and the other one's negative, so
    that swapping the images turns the velocity round and the inverse map is exact; the extractor runs once an image.
    strides: accepted because nnU-Net reads the pooling of a plan from it; the network halves after the patches of 4.
    mixer, stochastic_shuffle: see `medmamba.blocks.mixers`.

    Displacements are in voxels of the fixed grid, components in array order. An untrained network is the identity.
    Registration head, integration and warp run in float32 under autocast: half precision would lose sub-voxel shifts.
    """

    def __init__(
        self,
        input_channels: int = 1,
        embed_dim: int = 96,
        stages: int = _STAGES,
        reg_head_chan: int = 16,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        position_code: bool = True,
        patch_norm: bool = True,
        dropout: float = 0.0,
        trans_skip: bool = True,
        conv_skip: bool = True,
        feature_extractor: bool = True,
        diffeomorphic: bool = True,
        integration_steps: int = 7,
        symmetric: bool = False,
        strides: Sequence[Sequence[int]] | None = None,
        mixer: str = "mamba",
        stochastic_shuffle: float = 0.0,
    ) -> None:
        super().__init__()
        if stages < 1:
            raise ConfigError(f"MambaMorph got {stages} stages.", "It needs at least one.")
        if symmetric and not diffeomorphic:
            raise ConfigError("MambaMorph cannot be symmetric without a velocity.", "Leave it diffeomorphic.")
        self.divisor = _divisor(stages)
        self.trans_skip, self.conv_skip = trans_skip, conv_skip
        self.diffeomorphic, self.integration_steps, self.symmetric = diffeomorphic, integration_steps, symmetric
        self.feature_extractor = FeatureExtractor(input_channels) if feature_extractor else None
        if feature_extractor:
            self.read_out_head = nn.Sequential(ActivatedConv(_FEATURES, 8, stride=2), ActivatedConv(8, 3))
        channels = 2 * (_FEATURES if feature_extractor else input_channels)
        widths = [embed_dim * 2**i for i in range(stages)]
        options = {"d_state": d_state, "d_conv": d_conv, "expand": expand}
        self.transformer = MixerPyramid(channels, widths, _PATCH, patch_norm, position_code, dropout, mixer, options)
        self._add_decoder(widths, reg_head_chan)
        self.c1 = _conv_norm(channels, embed_dim // 2)
        self.c2 = _conv_norm(channels, reg_head_chan)
        self.reg_head = nn.Sequential(_small_conv(reg_head_chan))
        self._freeze_unused()
        set_stochastic_shuffle(self, stochastic_shuffle)

    @classmethod
    def patch_divisor(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """4 * 2^(stages - 1) per axis."""
        return _divisor(config.get("stages", _STAGES))

    @classmethod
    def plan_arguments(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The preset's arguments, and as strides the grids of the Mamba stages."""
        halvings = [[2] * 3 for _ in range(config.get("stages", _STAGES) - 1)]
        return {**config, "strides": [[1] * 3, [_PATCH] * 3, *halvings]}

    def _add_decoder(self, widths: Sequence[int], head: int) -> None:
        """`up1`, `up2`, ...: back over the Mamba stages, then over the two convolutional levels."""
        coarse_to_fine = [*reversed(widths), widths[0] // 2, head]
        for k, (width_in, width) in enumerate(pairwise(coarse_to_fine), start=1):
            skips = self.trans_skip if k < len(widths) else self.conv_skip
            self.add_module(f"up{k}", UpBlock(width_in, width if skips else 0, width))

    def _freeze_unused(self) -> None:
        """Parameters that exist for the sake of the original keys alone must not wait for a gradient."""
        unused: list[nn.Module] = [] if self.conv_skip else [self.c1, self.c2]
        if not self.trans_skip:
            unused += [self.transformer.get_submodule(f"norm{i}") for i in range(len(self.transformer.layers) - 1)]
        for module in unused:
            module.requires_grad_(False)

    def flow(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """The registration head's output (B, 3, *spatial) for the channels of both images.

        Of symmetric networks, the mean of it and of the negative one of the images in exchanged roles.
        """
        pair = moving, fixed
        x = self._side_by_side(pair)
        skips: list[Tensor | None] = [None, None]
        if self.conv_skip:
            # each image is pooled before they stand side by side: half of the work when the roles are exchanged, too
            half = self._side_by_side([F.avg_pool3d(image, 3, 2, 1) for image in pair])
            skips = [self.c1(half), self.c2(x)]
        *fine, y = self.transformer(x)
        y = y.contiguous(memory_format=torch.channels_last_3d)  # in which convolutions and upsampling are fastest
        trans: list[Tensor | None] = [m if self.trans_skip else None for m in reversed(fine)]
        for k, skip in enumerate([*trans, *skips], start=1):
            y = self.get_submodule(f"up{k}")(y, skip)
        with torch.autocast(y.device.type, enabled=False):
            found = self.reg_head(y.to(next(self.reg_head.parameters()).dtype))
        if not self.symmetric:
            return found
        there, back = found.chunk(2)
        return (there - back) / 2

    def _side_by_side(self, pair: Sequence[Tensor]) -> Tensor:
        """(B, 2C, *spatial), moving first; of symmetric networks (2B, 2C, *spatial), then also fixed first."""
        ways = [pair, pair[::-1]] if self.symmetric else [pair]
        return torch.cat([torch.cat(list(way), dim=1) for way in ways])

    def forward(self, moving: Tensor, fixed: Tensor, features: bool = True) -> tuple[Tensor, ...]:
        """Register `moving` to `fixed`, both (B, input_channels, *spatial), sides divisible by 4 * 2^(stages - 1).

        Returns, in this order: the warped moving image; the head's output (velocity, or displacement where the network
        is not diffeomorphic), (B, 3, *spatial); the displacement (diffeomorphic networks only); and, with an extractor
        and unless `features` is False, the read-out features of moving then fixed, (B, 6, *spatial / 2), for a
        contrastive loss. Raises ConfigError for sizes that do not fit.
        """
        if moving.shape != fixed.shape:
            raise ConfigError(
                f"Moving {tuple(moving.shape)} and fixed {tuple(fixed.shape)} differ in shape.",
                "Resample one to the other.",
            )
        check_divisible(moving.shape[2:], self.divisor, type(self).__name__)
        pair = [moving, fixed]
        if self.feature_extractor is not None:
            pair = [self.feature_extractor(image) for image in pair]
        preint = self.flow(*pair)
        outputs = [preint]
        if self.diffeomorphic:
            outputs.append(integrate(preint, self.integration_steps))
        outputs.insert(0, warp(moving, outputs[-1]))
        if self.feature_extractor is not None and features:
            outputs.append(torch.cat([self.read_out_head(x) for x in pair], dim=1))
        return tuple(outputs)


IGNORED_KEYS: tuple[str, ...] = (r"^(spatial_trans|integrate\.transformer)\.grid$",)
"""Coordinate buffers of the original checkpoints, which tie them to one image size."""

_RENAMED = {
    "embed_dim": "embed_dim",
    "reg_head_chan": "reg_head_chan",
    "d_state": "d_state",
    "d_conv": "d_conv",
    "expand": "expand",
    "patch_norm": "patch_norm",
    "spe": "position_code",
    "drop_rate": "dropout",
    "if_transskip": "trans_skip",
    "if_convskip": "conv_skip",
}
_FIXED: Mapping[str, Any] = {"patch_size": _PATCH, "ape": False, "rpe": False}
_WITHOUT_EFFECT = ("drop_path_rate", "use_checkpoint", "img_size")


def original_arguments(architecture: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Our constructor's arguments for the original authors' (`MambaMorph`, `MambaMorphFeat`, `MambaMorphOri`).

    Raises ConfigError for an argument that is unknown or has a value that the port does not take.
    """
    given = only(architecture, kwargs, (*_RENAMED, *_FIXED, "in_chans", "depths", "out_indices"), _WITHOUT_EFFECT)
    stages = len(given.get("depths", (2, 2, 4)))
    learnt = architecture == "MambaMorphFeat"  # its images have one channel, whatever in_chans says
    channels = 2 if learnt else given.get("in_chans", 2)
    for key, value in {**_FIXED, "out_indices": tuple(range(stages))}.items():
        got = given.get(key, value)
        if (tuple(got) if isinstance(got, Sequence) else got) != value:
            raise ConfigError(f"{architecture} with {key}={got!r} cannot be loaded.", f"Only {value!r} is supported.")
    if channels % 2:
        raise ConfigError(f"{architecture} got in_chans={channels}.", "It counts the channels of both images together.")
    return {
        **{_RENAMED[k]: v for k, v in given.items() if k in _RENAMED},
        "input_channels": channels // 2,
        "stages": stages,
        "feature_extractor": learnt,
        "diffeomorphic": architecture != "MambaMorphOri",
    }
