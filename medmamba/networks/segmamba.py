"""SegMamba (Xing et al., arXiv 2401.13560, MICCAI 2024): tri-orientated Mamba encoder, UNETR decoder, 3-D.

Follows the authors' code where it differs from the paper: the "gated" spatial convolution adds its branches, and there
is no uncertainty module.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.conv3d import Conv3d
from ..blocks.dims import check_divisible
from ..blocks.mixers import make_mixer, set_stochastic_shuffle
from ..blocks.residual import BareConv, UnetrBlock, UnetrUp
from ..blocks.supervision import SingleOutput
from ..blocks.tokens import from_tokens, to_tokens
from ..errors import ConfigError
from .originals import only

DIRECTIONS = ("forward", "reverse", "interslice")
REFERENCE_SLICES = (64, 32, 16, 8)
Slices = Literal["depth", "reference"] | Sequence[int]


class SpatialConv(nn.Module):
    """SegMamba's GSC: two 3x3x3 steps beside one 1x1x1 step, added, a 1x1x1 step, plus x.

    A step is convolution, instance norm, ReLU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj, self.proj2 = Conv3d(channels, channels, 3, padding=1), Conv3d(channels, channels, 3, padding=1)
        self.proj3, self.proj4 = Conv3d(channels, channels, 1), Conv3d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""

        def step(conv: nn.Module, y: Tensor) -> Tensor:
            return F.relu(F.instance_norm(conv(y)))

        deep = step(self.proj2, step(self.proj, x))
        return x + step(self.proj4, deep + step(self.proj3, x))


class TriMambaLayer(nn.Module):
    """``x + mixer(norm(x))`` on spatial tokens, scanned forward, in reverse and between slices of the first axis.

    `slices`: a fixed number of slices, or None for the depth of the feature map.
    """

    def __init__(self, channels: int, slices: int | None, mixer: str) -> None:
        super().__init__()
        self.slices = slices
        self.norm = nn.LayerNorm(channels)
        self.mamba = make_mixer(mixer, channels, directions=DIRECTIONS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape; ConfigError where a fixed slice count does not divide D * H * W."""
        slices = self.slices if self.slices is not None else x.shape[2]
        tokens = self.mamba(self.norm(to_tokens(x)), slices)
        return x + from_tokens(tokens, x.shape[2:])


class ChannelMLP(nn.Module):
    """Two 1x1x1 convolutions with GELU between; the inner width is twice the outer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = Conv3d(channels, 2 * channels, 1), Conv3d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class Normalise(nn.Module):
    """Instance norm without parameters, as a module so that it can stand in a sequence."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        return F.instance_norm(x)


class StageEncoder(nn.Module):
    """Four stages: down-sampling, convolutions, token layers; the skip of a stage is its normalised map through an MLP.

    Only the skip sees norm and MLP, the next stage gets the raw map.
    """

    def __init__(
        self,
        features: Sequence[int],
        downs: Sequence[nn.Module],
        convs: Sequence[nn.Module],
        stages: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.downsample_layers = nn.ModuleList(downs)
        self.gscs = nn.ModuleList(convs)
        self.stages = nn.ModuleList(stages)
        self.mlps = nn.ModuleList(ChannelMLP(f) for f in features)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, *spatial) -> one skip per stage, fine to coarse."""
        skips = []
        for down, convs, stage, mlp in zip(self.downsample_layers, self.gscs, self.stages, self.mlps, strict=True):
            x = stage(convs(down(x)))
            skips.append(mlp(F.instance_norm(x)))
        return skips


class SegMambaFrame(SingleOutput):
    """What SegMamba and SegMamba-V2 share: the UNETR blocks on the skips, the decoder and the size rule."""

    def __init__(
        self, input_channels: int, num_classes: int, features: Sequence[int], hidden_size: int, deep_supervision: bool
    ) -> None:
        super().__init__(deep_supervision)
        if len(features) != 4:
            raise ConfigError(f"{type(self).__name__} has four stages, got {len(features)} widths {list(features)}.")
        f = features
        self.encoder1 = UnetrBlock(3, input_channels, f[0])
        self.encoder2 = UnetrBlock(3, f[0], f[1])
        self.encoder3 = UnetrBlock(3, f[1], f[2])
        self.encoder4 = UnetrBlock(3, f[2], f[3])
        self.encoder5 = UnetrBlock(3, f[3], hidden_size)
        self.decoder5 = UnetrUp(3, hidden_size, f[3])
        self.decoder4 = UnetrUp(3, f[3], f[2])
        self.decoder3 = UnetrUp(3, f[2], f[1])
        self.decoder2 = UnetrUp(3, f[1], f[0])
        self.decoder1 = UnetrBlock(3, f[0], f[0])
        self.out = nn.ModuleDict({"conv": BareConv(3, f[0], num_classes, 1, bias=True)})

    @classmethod
    def patch_divisor(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """16 per axis; 32 on the first where the patch would otherwise be 16 on all axes."""
        return (32 if max(patch_size) <= 16 else 16, 16, 16)

    def check_input(self, x: Tensor) -> None:
        """Raise ConfigError for sizes that are not multiples of 16 or leave a single voxel at 1/16."""
        size = tuple(x.shape[2:])
        check_divisible(size, (16, 16, 16), type(self).__name__)
        if size == (16, 16, 16):
            raise ConfigError(
                f"{type(self).__name__} cannot take an input of size {size}: the deepest map would be a single voxel.",
                "Use at least 32 voxels on one axis.",
            )

    def decode(self, finest: Tensor, skips: list[Tensor]) -> Tensor | list[Tensor]:
        """The full-resolution map and the four skips to the output."""
        x = self.decoder5(self.encoder5(skips[3]), self.encoder4(skips[2]))
        x = self.decoder4(x, self.encoder3(skips[1]))
        x = self.decoder3(x, self.encoder2(skips[0]))
        x = self.decoder1(self.decoder2(x, finest))
        return self.respond(self.out["conv"](x))


def slice_counts(num_slices: Slices) -> list[int | None]:
    """Slices per stage: None stands for the depth of the feature map. ConfigError for anything not understood."""
    if num_slices == "depth":
        return [None] * 4
    if num_slices == "reference":
        return list(REFERENCE_SLICES)
    if isinstance(num_slices, str) or len(num_slices) != 4:
        raise ConfigError(f"num_slices is {num_slices!r}.", 'Use "depth", "reference" or one number per stage (four).')
    return list(num_slices)


class SegMamba(SegMambaFrame):
    """SegMamba.

    Parameters
    ----------
    input_channels, num_classes: channels in and out.
    depths: Mamba layers per stage. features: width per stage. hidden_size: width at the bottom of the decoder.
    num_slices: how the inter-slice scan cuts the sequence. "depth": by the first axis of each feature map, right for
        every size; "reference": the original's fixed 64, 32, 16, 8, the same for a depth of 128; or four numbers.
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
        num_slices: Slices = "depth",
        strides: Sequence[Sequence[int]] | None = None,
        deep_supervision: bool = False,
        mixer: str = "mamba",
        stochastic_shuffle: float = 0.0,
    ) -> None:
        super().__init__(input_channels, num_classes, features, hidden_size, deep_supervision)
        downs: list[nn.Module] = [nn.Sequential(Conv3d(input_channels, features[0], 7, 2, 3))]
        for narrow, wide in pairwise(features):
            downs.append(nn.Sequential(Normalise(), Conv3d(narrow, wide, 2, 2)))
        stages = [
            nn.Sequential(*(TriMambaLayer(f, n, mixer) for _ in range(depth)))
            for f, n, depth in zip(features, slice_counts(num_slices), depths, strict=True)
        ]
        self.vit = StageEncoder(features, downs, [SpatialConv(f) for f in features], stages)
        set_stochastic_shuffle(self, stochastic_shuffle)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, input_channels, D, H, W) -> (B, num_classes, D, H, W)."""
        self.check_input(x)
        return self.decode(self.encoder1(x), self.vit(x))


IGNORED_KEYS: tuple[str, ...] = ()


def original_arguments(architecture: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Our constructor's arguments for the original authors' (`SegMamba`, `SegMambaV2`)."""
    renamed = {"in_chans": "input_channels", "out_chans": "num_classes", "depths": "depths", "feat_size": "features",
               "hidden_size": "hidden_size"}  # fmt: skip
    without_effect = (
        "drop_path_rate",
        "layer_scale_init_value",
        "conv_block",
        "norm_name",
        "res_block",
        "spatial_dims",
    )
    given = only(architecture, kwargs, tuple(renamed), without_effect)
    arguments = {"input_channels": 1, "num_classes": 13, **{renamed[k]: v for k, v in given.items()}}
    return arguments | ({"num_slices": "reference"} if architecture == "SegMamba" else {})
