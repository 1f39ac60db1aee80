"""SegFormer (Xie et al., arXiv 2105.15203): the hierarchical transformer encoder and the all-MLP head.

Built from numbers alone. Names of parameters are those of the common implementation, so that its checkpoints load.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError, DataError
from .dims import conv, upsample_linear
from .tokens import from_tokens, to_tokens


class DepthwiseMlp(nn.Module):
    """Two linear layers around a depthwise 3x3(x3) convolution and GELU; the tokens are those of a 2-D or 3-D map.

    `names` are the attribute names of the linear layers, which differ between checkpoints.
    """

    def __init__(self, dims: int, channels: int, ratio: int = 4, names: tuple[str, str] = ("dense1", "dense2")) -> None:
        super().__init__()
        width, self.names = ratio * channels, names
        self.add_module(names[0], nn.Linear(channels, width))
        self.dwconv = nn.ModuleDict({"dwconv": conv(dims)(width, width, 3, padding=1, groups=width)})
        self.add_module(names[1], nn.Linear(width, channels))

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:
        """(B, L, C) with L voxels in `spatial` -> (B, L, C)."""
        first, second = (self.get_submodule(name) for name in self.names)
        x = self.dwconv["dwconv"](from_tokens(first(tokens), spatial))
        return second(F.gelu(to_tokens(x)))


class ReducedAttention(nn.Module):
    """Multi-head attention; keys and values come from a map reduced `reduction` times per axis by a convolution."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, reduction)
            self.layer_norm = nn.LayerNorm(channels)
        self.reduction = reduction

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, heads, L, C / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:
        """(B, L, C) on a map of size `spatial` -> (B, L, C)."""
        reduced = tokens
        if self.reduction > 1:
            reduced = self.layer_norm(to_tokens(self.sr(from_tokens(tokens, spatial))))
        query, key, value = (
            self._split(layer) for layer in (self.query(tokens), self.key(reduced), self.value(reduced))
        )
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """`ReducedAttention` under the name `self`, then a linear layer under the name `output.dense`."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.self = ReducedAttention(channels, heads, reduction)
        self.output = nn.ModuleDict({"dense": nn.Linear(channels, channels)})

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        return self.output["dense"](self.self(tokens, spatial))


class SegformerBlock(nn.Module):
    """``x += drop(attention(norm(x)))``, ``x += drop(mlp(norm(x)))``; in training a branch drops out per sample."""

    def __init__(self, channels: int, heads: int, reduction: int, mlp_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.layer_norm_1 = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads, reduction)
        self.layer_norm_2 = nn.LayerNorm(channels)
        self.mlp = DepthwiseMlp(2, channels, mlp_ratio)

    def _drop(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, 1), self.drop_path)

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:
        """(B, L, C) on a map of size `spatial` -> (B, L, C)."""
        tokens = tokens + self._drop(self.attention(self.layer_norm_1(tokens), spatial))
        return tokens + self._drop(self.mlp(self.layer_norm_2(tokens), spatial))


class PatchEmbedding(nn.Module):
    """Overlapping patches: convolution with padding kernel // 2, tokens, LayerNorm."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2)
        self.layer_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        """(B, C_in, H, W) -> tokens (B, L, C) and their map's size, H / stride and W / stride rounded up."""
        x = self.proj(x)
        return self.layer_norm(to_tokens(x)), x.shape[2:]


class SegformerEncoder(nn.Module):
    """SegFormer's stages one by one, for a network that puts layers of its own between them.

    All sequences have one entry per stage. The stage-final norms `layer_norm` exist for their keys alone (such a
    network does not use them) and are frozen. Raises ConfigError where a width is no multiple of its heads.
    """

    def __init__(
        self,
        input_channels: int,
        widths: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
        reductions: Sequence[int],
        mlp_ratios: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        drop_path: float,
    ) -> None:
        super().__init__()
        if any(w % h for w, h in zip(widths, heads, strict=True)):
            raise ConfigError(
                f"Widths {list(widths)} cannot be cut into {list(heads)} heads.", "Choose multiples of the heads."
            )
        rates = iter([drop_path * i / max(sum(depths) - 1, 1) for i in range(sum(depths))])
        inputs = [input_channels, *widths[:-1]]
        self.patch_embeddings = nn.ModuleList(map(PatchEmbedding, inputs, widths, kernels, strides))
        self.block = nn.ModuleList(
            nn.ModuleList(SegformerBlock(w, h, r, m, next(rates)) for _ in range(depth))
            for w, h, r, m, depth in zip(widths, heads, reductions, mlp_ratios, depths, strict=True)
        )
        self.layer_norm = nn.ModuleList(nn.LayerNorm(w) for w in widths).requires_grad_(False)
        self.reductions = tuple(reductions)
        self.apply(_init)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Stage `index`: (B, C_in, H, W) -> (B, C, H', W'). ConfigError where the map is smaller than its reduction."""
        tokens, spatial = self.patch_embeddings[index](x)
        if min(spatial) < self.reductions[index]:
            raise ConfigError(
                f"At stage {index} the map is down to {tuple(spatial)}, below the reduction {self.reductions[index]}.",
                "Use larger frames.",
            )
        for block in self.block[index].children():
            tokens = block(tokens, spatial)
        return from_tokens(tokens, spatial)


class SegformerHead(nn.Module):
    """All-MLP head: every map to `width` channels and to the size of the first, fused, batch norm, ReLU, dropout.

    `classifier` exists for its keys alone and is frozen.

    The fusing 1x1 convolution of the concatenated, upsampled maps is a sum over the maps, and a linear layer over
    channels commutes with interpolation: so each part works at its own coarse size. The result is the same with a
    fraction of the work, and without a map of 4 * `width` channels.
    """

    def __init__(self, widths: Sequence[int], width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.linear_c = nn.ModuleList(nn.ModuleDict({"proj": nn.Linear(w, width)}) for w in widths)
        self.linear_fuse = nn.Conv2d(len(widths) * width, width, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(width)
        self.classifier = nn.Conv2d(width, labels, 1).requires_grad_(False)
        self.apply(_init)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, widths[i], H_i, W_i), fine to coarse -> (B, width, H_0, W_0)."""
        # The original concatenates the coarsest map first.
        parts = reversed(self.linear_fuse.weight.flatten(1).chunk(len(maps), dim=1))
        fused = None
        for layer, x, part in zip(self.linear_c, maps, parts, strict=True):
            y = from_tokens(F.linear(layer.get_submodule("proj")(to_tokens(x)), part), x.shape[2:])
            y = y if fused is None else upsample_linear(y, size=maps[0].shape[2:])
            fused = y if fused is None else fused + y
        return F.dropout(F.relu(self.batch_norm(fused)), self.dropout, self.training)


def _init(module: nn.Module) -> None:
    """SegFormer's initialisation: linear layers truncated normal 0.02, convolutions by fan-out, zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def read_checkpoint(path: Path) -> dict[tuple[str, str], Tensor]:
    """The tensors of a SegFormer file (.safetensors or a torch state_dict) by part, "encoder" or "head", and key in it.

    Raises DataError for a file that is absent or cannot be read; nothing is ever downloaded.
    """
    if not path.is_file():
        raise DataError(f"The backbone file {path} does not exist.", "Give a local file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(f"{path} cannot be read: {error}", "Give a .safetensors file or a torch state_dict.") from error
    parts = {"encoder": "encoder", "decode_head": "head"}
    found = {}
    for key, value in state.items():
        prefix, _, rest = key.removeprefix("segformer.").partition(".")
        if prefix in parts:
            found[parts[prefix], rest] = value
    return found
