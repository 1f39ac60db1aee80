"""U-Mamba (Ma, Li and Wang, arXiv 2401.04722): a residual U-Net with Mamba layers, 2-D and 3-D.

`UMambaBot` has one Mamba layer, at the bottleneck; `UMambaEnc` has them in the encoder: after every stage in 3-D, after
every other stage in 2-D, always after the last. There is no residual around a Mamba layer: its output replaces the
feature map. Follows the code of March 2024 and later, as its checkpoints need it.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from ..blocks.dims import check_divisible
from ..blocks.mixers import make_mixer, set_stochastic_shuffle
from ..blocks.residual_unet import Sizes, UNetDecoder, UNetEncoder, UNetStyle
from ..blocks.tokens import from_tokens, to_tokens
from ..errors import ConfigError
from .originals import layer_dims, only, per_stage


def reduced_blocks(counts: int | Sequence[int], stages: int, *, decoder: bool) -> list[int]:
    """Blocks per stage after U-Mamba's thinning: one block from the middle on (decoder: in the fine half).

    `stages` is the number of stages of this half; the caller's list is not changed.
    """
    thin_from = (stages / 2 + 0.5) if decoder else stages / 2
    return [1 if s >= math.ceil(thin_from) else count for s, count in enumerate(per_stage(counts, stages))]


class TokenLayer(nn.Module):
    """LayerNorm and mixer on the feature map seen as tokens; the result replaces the map.

    Spatial tokens: one token per voxel, C channels. Channel tokens (`voxels` given): one token per channel, which holds
    its whole feature map; the input then must have exactly `voxels` voxels.
    """

    def __init__(self, channels: int, mixer: str, voxels: int | None = None) -> None:
        super().__init__()
        self.voxels = voxels
        width = channels if voxels is None else voxels
        self.norm = nn.LayerNorm(width)
        self.mamba = make_mixer(mixer, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same shape."""
        spatial = x.shape[2:]
        if self.voxels is None:
            return from_tokens(self.mamba(self.norm(to_tokens(x))), spatial)
        return self.mamba(self.norm(x.flatten(2))).unflatten(2, spatial)


class UMamba(nn.Module):
    """What both variants share; use `UMambaBot` or `UMambaEnc`.

    Parameters
    ----------
    input_channels, num_classes: channels in and out.
    features_per_stage: width of each stage, fine to coarse.
    kernel_sizes, strides: per stage and axis, as in nnU-Net plans (first stride 1); their axes decide 2-D or 3-D.
        None: 3 everywhere, halving at every stage, `spatial_dims` axes.
    n_conv_per_stage, n_conv_per_stage_decoder: blocks per stage before U-Mamba's thinning (`reduced_blocks`).
    conv_bias: bias of the constant-width blocks; all other convolutions have one.
    norm_op_kwargs, negative_slope: instance norm and LeakyReLU.
    deep_supervision: return one output per decoder stage, finest first, instead of the finest.
    mixer: "mamba", or a twin without scan: "conv" or "identity" (see `medmamba.blocks.mixers`).
    stochastic_shuffle: p of the training-time token shuffle.

    Input (B, input_channels, *spatial), every axis divisible by the product of its strides, else ConfigError.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        features_per_stage: Sequence[int] = (32, 64, 128, 256, 320, 320),
        kernel_sizes: Sizes | None = None,
        strides: Sizes | None = None,
        n_conv_per_stage: int | Sequence[int] = 2,
        n_conv_per_stage_decoder: int | Sequence[int] = 2,
        spatial_dims: int = 3,
        conv_bias: bool = True,
        norm_op_kwargs: Mapping[str, Any] | None = None,
        negative_slope: float = 0.01,
        deep_supervision: bool = False,
        mixer: str = "mamba",
        stochastic_shuffle: float = 0.0,
    ) -> None:
        super().__init__()
        n = len(features_per_stage)
        kernels = kernel_sizes or [[3] * spatial_dims] * n
        strides = strides or [[1 if s == 0 else 2] * len(kernels[0]) for s in range(n)]
        if not n == len(kernels) == len(strides) >= 2:
            raise ConfigError(
                f"U-Mamba got {n} widths, {len(kernels)} kernel sizes and {len(strides)} strides.",
                "Give one of each per stage, at least two stages.",
            )
        if any(k % 2 == 0 for kernel in kernels for k in kernel):
            raise ConfigError(f"U-Mamba needs odd kernel sizes, got {kernels}.", "Change the plan's kernel_sizes.")
        style = UNetStyle(conv_bias, norm_op_kwargs or {"eps": 1e-5, "affine": True}, negative_slope)
        self.divisor = tuple(math.prod(axis) for axis in zip(*strides, strict=True))
        layers = self.encoder_layers(features_per_stage, strides, mixer)
        blocks = reduced_blocks(n_conv_per_stage, n, decoder=False)
        self.encoder = UNetEncoder(input_channels, features_per_stage, kernels, strides, blocks, style, layers)
        self.add_bottleneck(features_per_stage[-1], mixer)
        blocks = reduced_blocks(n_conv_per_stage_decoder, n - 1, decoder=True)
        self.decoder = UNetDecoder(num_classes, features_per_stage, kernels, strides, blocks, style, deep_supervision)
        self.apply(_kaiming)
        set_stochastic_shuffle(self, stochastic_shuffle)

    @classmethod
    def patch_divisor(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """The product of the plan's strides per axis."""
        strides = config.get("strides", unet_arguments["strides"])
        return tuple(math.prod(axis) for axis in zip(*strides, strict=True))

    @classmethod
    def plan_arguments(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Kernels, strides, widths and blocks of the stock plan, and the preset on top.

        A preset may give `base_features` and `max_features` instead of a width per stage.
        """
        options = dict(config)
        base, most = options.pop("base_features", None), options.pop("max_features", None)
        plain = {k: unet_arguments[k] for k in ("features_per_stage", "kernel_sizes", "strides")}
        blocks = unet_arguments.get("n_conv_per_stage", unet_arguments.get("n_blocks_per_stage", 2))
        plain |= {"n_conv_per_stage": blocks, "n_conv_per_stage_decoder": unet_arguments["n_conv_per_stage_decoder"]}
        if base is not None:
            plain["features_per_stage"] = [min(base * 2**s, most or 320) for s in range(len(plain["strides"]))]
        return copy.deepcopy(plain | options)

    def encoder_layers(self, widths: Sequence[int], strides: Sizes, mixer: str) -> list[nn.Module]:
        """The layers that follow the encoder's stages, one per stage; an empty list for none."""
        return []

    def add_bottleneck(self, width: int, mixer: str) -> None:
        """Add the layer that follows the encoder, if any."""

    def check_input(self, x: Tensor) -> None:
        """Raise ConfigError for a size that the network cannot take."""
        check_divisible(x.shape[2:], self.divisor, type(self).__name__)


class UMambaBot(UMamba):
    """U-Mamba with one Mamba layer, after the deepest encoder stage. Arguments: `UMamba`."""

    def add_bottleneck(self, width: int, mixer: str) -> None:
        """The one Mamba layer, always on spatial tokens."""
        self.mamba_layer = TokenLayer(width, mixer)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, input_channels, *spatial) -> (B, num_classes, *spatial) or the list of deep supervision."""
        self.check_input(x)
        maps = self.encoder(x)
        return self.decoder([*maps[:-1], self.mamba_layer(maps[-1])])


class UMambaEnc(UMamba):
    """U-Mamba with Mamba layers in the encoder. Arguments: `UMamba`, and two more.

    input_size: the patch size. The original decides with it which stages turn their channels into tokens (those with no
        more voxels than channels); such a network then takes that size alone. None: spatial tokens at every stage, any
        size.
    channel_tokens: "auto" for the original's rule, "never" for spatial tokens whatever the size.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        input_size: Sequence[int] | None = None,
        channel_tokens: Literal["auto", "never"] = "auto",
        **options: Any,
    ) -> None:
        if channel_tokens not in ("auto", "never"):
            raise ConfigError(f"channel_tokens is {channel_tokens!r}.", 'Use "auto" or "never".')
        self.input_size = tuple(input_size) if input_size is not None and channel_tokens == "auto" else None
        self.channel_token_stages: tuple[int, ...] = ()
        super().__init__(input_channels, num_classes, **options)

    @classmethod
    def plan_arguments(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """As `UMamba`, with the patch as input size."""
        return super().plan_arguments(patch_size, unet_arguments, config) | {"input_size": list(patch_size)}

    def encoder_layers(self, widths: Sequence[int], strides: Sizes, mixer: str) -> list[nn.Module]:
        """One per stage, an identity where the 2-D network has none; sets `channel_token_stages`."""
        layers: list[nn.Module] = []
        size = self.input_size
        for s, width in enumerate(widths):
            voxels = None
            if size is not None:
                if len(size) != len(strides[s]):
                    raise ConfigError(f"input_size {self.input_size} does not fit strides {list(strides[s])}.")
                size = tuple(a // b for a, b in zip(size, strides[s], strict=True))
                voxels = math.prod(size) if math.prod(size) <= width else None
            if len(strides[s]) == 2 and (s % 2 == 1) == (len(widths) % 2 == 1):
                layers.append(nn.Identity())
                continue
            if voxels is not None:
                self.channel_token_stages = (*self.channel_token_stages, s)
            layers.append(TokenLayer(width, mixer, voxels))
        return layers

    def check_input(self, x: Tensor) -> None:
        """As `UMamba`; with channel tokens the size must be `input_size`."""
        super().check_input(x)
        if self.channel_token_stages and tuple(x.shape[2:]) != self.input_size:
            raise ConfigError(
                f"This UMambaEnc has channel tokens: it takes size {self.input_size} only, not {tuple(x.shape[2:])}.",
                'Feed patches of that size, or build the network with channel_tokens="never".',
            )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, input_channels, *spatial) -> (B, num_classes, *spatial) or the list of deep supervision."""
        self.check_input(x)
        return self.decoder(self.encoder(x))


def _kaiming(module: nn.Module) -> None:
    """nnU-Net's initialisation of 2-D and 3-D convolutions; the mixers keep their own."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, a=1e-2)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# The original's state dict holds the encoder a second time below the decoder, and each convolution block twice.
IGNORED_KEYS = (r"decoder\.encoder\..*", r".*\.all_modules\..*")


def original_arguments(architecture: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Our constructor's arguments for the original authors' (`UMambaBot`, `UMambaEnc`)."""
    direct = ("input_channels", "num_classes", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage",
              "n_conv_per_stage_decoder", "conv_bias", "norm_op_kwargs", "deep_supervision", "input_size")  # fmt: skip
    without_effect = ("n_stages", "conv_op", "norm_op", "dropout_op", "dropout_op_kwargs", "nonlin", "nonlin_kwargs",
                      "nonlin_first", "stem_channels", "pool_type", "block", "return_skips")  # fmt: skip
    arguments = only(architecture, kwargs, direct, without_effect)
    n = kwargs.get("n_stages", len(kwargs["kernel_sizes"]))
    arguments["features_per_stage"] = per_stage(kwargs["features_per_stage"], n)
    dims = layer_dims(kwargs["conv_op"])
    for name in ("kernel_sizes", "strides"):
        arguments[name] = [[v] * dims if isinstance(v, int) else list(v) for v in per_stage(kwargs[name], n)]
    arguments["negative_slope"] = (kwargs.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)
    return arguments
