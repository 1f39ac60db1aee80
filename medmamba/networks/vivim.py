"""Vivim (Yang et al., arXiv 2401.14168): SegFormer stages with Temporal-Mamba layers between them, for video clips.

`Vivim` is the published network (clips in, frames out); `VivimSegmentation` is its face towards nnU-Net, where a
clip is a volume whose first axis is time.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.dims import upsample_linear
from ..blocks.mixers import make_mixer, set_stochastic_shuffle
from ..blocks.segformer import DepthwiseMlp, SegformerEncoder, SegformerHead, read_checkpoint
from ..blocks.supervision import SingleOutput
from ..blocks.tokens import from_tokens, to_tokens
from ..errors import ConfigError, DataError
from .originals import only, per_stage

_DIRECTIONS = ("forward", "reverse", "interslice")
_KEYS = {"encoder": "encoder.downsample_layers.", "head": "decoder."}  # where SegFormer's parts live here
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for RGB in 0..1


class TemporalMambaLayer(nn.Module):
    """``x += mamba(norm1(x))``, ``x += mlp(norm2(x))`` on a clip's tokens; the MLP has a 3x3x3 depthwise convolution.

    The Mamba layer scans forward, backward and through time, and averages the three. All linear layers, the Mamba
    projections included, start truncated normal 0.02 with zero biases: so the published network undoes Mamba's own
    step-size initialisation.
    """

    def __init__(self, channels: int, mixer: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.mamba = make_mixer(mixer, channels, directions=_DIRECTIONS, combine="mean")
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = DepthwiseMlp(3, channels, names=("fc1", "fc2"))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, chunks: int) -> Tensor:
        """(b, C, T, H, W) -> the same shape; the third scan runs over `chunks` equal parts of the tokens."""
        spatial, tokens = x.shape[2:], to_tokens(x)
        tokens = tokens + self.mamba(self.norm1(tokens), chunks)
        return from_tokens(tokens + self.mlp(self.norm2(tokens), spatial), spatial)


class _Encoder(nn.Module):
    """SegFormer's stages, per frame, and the Temporal-Mamba layers behind each, per clip."""

    def __init__(self, backbone: SegformerEncoder, widths: Sequence[int], layers: Sequence[int], mixer: str) -> None:
        super().__init__()
        self.downsample_layers = backbone
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.ModuleList([TemporalMambaLayer(w, mixer)]) for _ in range(n))
            for w, n in zip(widths, layers, strict=True)
        )

    def forward(self, frames: Tensor, clip_length: int, chunks: int) -> list[Tensor]:
        """(b*T, C, H, W) -> one map (b*T, C_i, H_i, W_i) per stage, fine to coarse."""
        maps, x = [], frames
        for i, layers in enumerate(self.stages):
            x = self.downsample_layers.stage(i, x)
            tokens = clip_length * x.shape[2] * x.shape[3]
            if tokens % chunks:
                raise ConfigError(
                    f"At stage {i} the clip has {clip_length} x {x.shape[2]} x {x.shape[3]} = {tokens} positions, "
                    f"which num_frames={chunks} does not divide.",
                    f"Use clips of a multiple of {chunks} frames, or num_frames='clip'.",
                )
            clip = x.unflatten(0, (-1, clip_length)).transpose(1, 2)
            for wrapped in layers.children():
                for layer in wrapped.children():
                    clip = layer(clip, chunks)
            x = clip.transpose(1, 2).flatten(0, 1)
            maps.append(x)
        return maps


class Vivim(nn.Module):
    """Vivim on clips.

    Parameters
    ----------
    input_channels, num_classes: channels of a frame (the published network: 3) and of the output.
    features: widths, one per stage. num_frames: parts that the scan through time takes the tokens apart into: 5 in the
    published network whatever the clip's length; "clip" for the number of frames.
    mamba_layers_per_stage: a number, or one per stage.
    depths, num_attention_heads, sr_ratios, mlp_ratios, patch_sizes, patch_strides: of the SegFormer backbone, one per
    stage (default: B3); drop_path: its stochastic depth at the last block.
    decoder_hidden_size: width of the head. classifier_labels: of the head's unused classifier. dropout: in the head.
    with_edge: also return an edge map, from the finest feature map.
    mixer, stochastic_shuffle: see `medmamba.blocks.mixers`.

    Parameters that exist for the original keys alone (stage-final norms, classifier) are frozen.
    """

    def __init__(
        self,
        input_channels: int = 3,
        num_classes: int = 1,
        features: Sequence[int] = (64, 128, 320, 512),
        num_frames: int | Literal["clip"] = 5,
        mamba_layers_per_stage: int | Sequence[int] = 2,
        depths: Sequence[int] = (3, 4, 18, 3),
        num_attention_heads: Sequence[int] = (1, 2, 5, 8),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        mlp_ratios: Sequence[int] = (4, 4, 4, 4),
        patch_sizes: Sequence[int] = (7, 3, 3, 3),
        patch_strides: Sequence[int] = (4, 2, 2, 2),
        decoder_hidden_size: int = 768,
        classifier_labels: int = 150,
        drop_path: float = 0.1,
        dropout: float = 0.1,
        with_edge: bool = False,
        mixer: str = "mamba",
        stochastic_shuffle: float = 0.0,
    ) -> None:
        super().__init__()
        stages = len(features)
        if num_frames != "clip" and (isinstance(num_frames, str) or num_frames < 1):
            raise ConfigError(f"Vivim got num_frames={num_frames!r}.", "It is a positive number or 'clip'.")
        self.num_frames, self.input_channels = num_frames, input_channels
        segformer = SegformerEncoder(
            input_channels,
            widths=features,
            depths=per_stage(depths, stages),
            heads=per_stage(num_attention_heads, stages),
            reductions=per_stage(sr_ratios, stages),
            mlp_ratios=per_stage(mlp_ratios, stages),
            kernels=per_stage(patch_sizes, stages),
            strides=per_stage(patch_strides, stages),
            drop_path=drop_path,
        )
        # What height and width must be divisible by for no stage to round or drop anything.
        self.divisor = math.lcm(*(math.prod(patch_strides[: i + 1]) * sr_ratios[i] for i in range(stages)))
        self.encoder = _Encoder(segformer, features, per_stage(mamba_layers_per_stage, stages), mixer)
        self.decoder = SegformerHead(features, decoder_hidden_size, classifier_labels, dropout)
        self.out = nn.Conv2d(decoder_hidden_size, num_classes, 1)
        self.edgeocr_cls_head = nn.Conv2d(features[0], 1, 1) if with_edge else None
        set_stochastic_shuffle(self, stochastic_shuffle)

    def forward(self, clips: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(b, T, input_channels, H, W) -> logits (b*T, num_classes, H, W), clip by clip; with_edge: and edge logits.

        H and W are best multiples of 32. Raises ConfigError where num_frames does not divide T*H_i*W_i at some stage.
        """
        if clips.dim() != 5 or clips.shape[2] != self.input_channels:
            raise ConfigError(
                f"Vivim got clips of shape {tuple(clips.shape)}.",
                f"It needs (clips, frames, {self.input_channels}, H, W).",
            )
        length, size = clips.shape[1], clips.shape[3:]
        chunks = length if self.num_frames == "clip" else int(self.num_frames)
        maps = self.encoder(clips.flatten(0, 1), length, chunks)
        logits = upsample_linear(self.out(self.decoder(maps)), size=size)
        if self.edgeocr_cls_head is None:
            return logits
        return logits, upsample_linear(self.edgeocr_cls_head(maps[0]), size=size)

    def load_backbone(self, path: Path | str) -> list[str]:
        """Start from a pretrained SegFormer in a local file (.safetensors, or a torch state_dict).

        Its encoder must fit; of its head the tensors that fit are taken. For other than 3 input channels every channel
        of the first convolution gets the mean over the file's RGB, scaled to keep the sum. Returns the head's keys that
        the file did not fill. Raises DataError for a file that is no such state_dict.
        """
        ours = {k: v for k, v in self.state_dict().items() if k.startswith(tuple(_KEYS.values()))}
        found = {_KEYS[part] + rest: v for (part, rest), v in read_checkpoint(Path(path)).items()}
        first = "encoder.downsample_layers.patch_embeddings.0.proj.weight"
        if first in found and found[first].shape[1] != self.input_channels:
            rgb = found[first]
            mean = rgb.mean(1, keepdim=True) * (rgb.shape[1] / self.input_channels)
            found[first] = mean.expand(-1, self.input_channels, -1, -1)
        fitting = {k: v for k, v in found.items() if k in ours and v.shape == ours[k].shape}
        missing = [k for k in ours if k not in fitting]
        wrong = [k for k in missing if k.startswith("encoder.")]
        if wrong:
            got = tuple(found[wrong[0]].shape) if wrong[0] in found else "absent"
            raise DataError(
                f"{path} is no SegFormer of this size: {wrong[0]} is {got}, needed {tuple(ours[wrong[0]].shape)}.",
                "Use the file of the backbone that features and depths describe.",
            )
        self.load_state_dict(fitting, strict=False)
        return missing


class VivimSegmentation(SingleOutput):
    """Vivim for volumes (B, C, T, H, W) whose first axis is time, as nnU-Net feeds them.

    Parameters
    ----------
    input_channels: 3 (RGB in 0..1) and 1 (repeated to three) are normalised with ImageNet's mean and deviation, as the
    pretrained backbone expects; any other number gets a first convolution of that width and no normalisation.
    num_classes: channels out.
    strides: accepted because nnU-Net reads the pooling of a plan from it; the network has its own `patch_strides`.
    deep_supervision: nnU-Net's switch; there is one output, returned as a list of one while it is on.
    network: the other arguments of `Vivim`, which is held as `vivim`.

    Any size: time is filled up by repeating the last frame, height and width by repeating the border, then cropped.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        strides: Sequence[Sequence[int]] | None = None,
        deep_supervision: bool = False,
        **network: Any,
    ) -> None:
        super().__init__(deep_supervision)
        if network.get("with_edge"):
            raise ConfigError("A segmentation network has no place for Vivim's edge map.", "Leave with_edge out.")
        self.input_channels = input_channels
        self.colour = input_channels in (1, 3)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1, 1), persistent=False)
        self.vivim = Vivim(3 if self.colour else input_channels, num_classes, **network)

    def _filled(self, x: Tensor) -> Tensor:
        """`x` with its last frame, rows and columns repeated up to what the network takes."""
        frames = 1 if self.vivim.num_frames == "clip" else int(self.vivim.num_frames)
        divisors = (frames, self.vivim.divisor, self.vivim.divisor)
        missing = [-size % divisor for size, divisor in zip(x.shape[2:], divisors, strict=True)]
        return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else x

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, input_channels, T, H, W) -> (B, num_classes, T, H, W)."""
        if x.dim() != 5 or x.shape[1] != self.input_channels:
            raise ConfigError(
                f"Vivim got an input of shape {tuple(x.shape)}.", f"It needs (B, {self.input_channels}, frames, H, W)."
            )
        batch, (frames, height, width) = x.shape[0], x.shape[2:]
        if self.colour:
            x = (x.expand(-1, 3, -1, -1, -1) - self.mean) / self.std
        logits = self.vivim(self._filled(x).transpose(1, 2))
        volume = logits.unflatten(0, (batch, -1)).transpose(1, 2)
        return self.respond(volume[:, :, :frames, :height, :width])


IGNORED_KEYS: tuple[str, ...] = (r"^criterion\..*$",)
"""Tensors of the frozen loss regressor in the authors' training checkpoints."""

_BACKBONE = {
    "num_channels": "input_channels",
    "depths": "depths",
    "hidden_sizes": "features",
    "num_attention_heads": "num_attention_heads",
    "sr_ratios": "sr_ratios",
    "mlp_ratios": "mlp_ratios",
    "patch_sizes": "patch_sizes",
    "strides": "patch_strides",
    "decoder_hidden_size": "decoder_hidden_size",
    "num_labels": "classifier_labels",
    "drop_path_rate": "drop_path",
    "classifier_dropout_prob": "dropout",
}
_BACKBONE_FIXED: Mapping[str, Any] = {"hidden_act": "gelu", "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
_BACKBONE_WITHOUT_EFFECT = ("reshape_last_stage", "layer_norm_eps", "initializer_range", "num_encoder_blocks")
_WITHOUT_EFFECT = (
    *("in_chans", "depths", "drop_path_rate", "layer_scale_init_value", "hidden_size"),
    *("norm_name", "conv_block", "res_block", "spatial_dims"),
)


def original_arguments(architecture: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Our `Vivim`'s arguments for the original authors', with `backbone_kwargs` and `mamba_layers_per_stage`.

    Raises ConfigError for an argument that is unknown, or where the network's and the backbone's widths disagree.
    """
    direct = ("out_chans", "feat_size", "with_edge", "backbone_kwargs", "mamba_layers_per_stage")
    given = only(architecture, kwargs, direct, _WITHOUT_EFFECT)
    known = (*_BACKBONE, *_BACKBONE_FIXED)
    backbone = only(f"{architecture}'s backbone", given.get("backbone_kwargs", {}), known, _BACKBONE_WITHOUT_EFFECT)
    for key, value in _BACKBONE_FIXED.items():
        if backbone.pop(key, value) != value:
            raise ConfigError(
                f"{architecture}'s backbone has another {key} than {value!r}.", "Only that one is supported."
            )
    features = list(given.get("feat_size", backbone.get("hidden_sizes", (64, 128, 320, 512))))
    if list(backbone.get("hidden_sizes", features)) != features:
        raise ConfigError(
            f"{architecture}'s feat_size {features} differs from hidden_sizes {backbone['hidden_sizes']}.",
            "Make them equal.",
        )
    return {
        **{_BACKBONE[k]: v for k, v in backbone.items()},
        "features": features,
        "num_classes": given.get("out_chans", 1),
        "with_edge": given.get("with_edge", False),
        "mamba_layers_per_stage": given.get("mamba_layers_per_stage", 2),
    }
