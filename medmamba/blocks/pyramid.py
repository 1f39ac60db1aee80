"""A pyramid of mixer layers on the patches of a volume, for networks of the TransMorph family (3-D).

Patches become tokens with a fixed position code; after each stage but the last, 2x2x2 neighbours merge into one token.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv3d import Conv3d
from .mixers import make_mixer
from .tokens import from_tokens, to_tokens

_OFFSETS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1))


def position_code(spatial: Sequence[int], channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Sinusoidal code of a 3-D grid, (channels, *spatial): sines then cosines of each axis, cut to `channels`."""
    per_axis = 2 * math.ceil(channels / 6)
    frequency = 10000 ** (-torch.arange(0, per_axis, 2, dtype=dtype, device=device) / per_axis)
    codes = []
    for axis, size in enumerate(spatial):
        angle = frequency[:, None] * torch.arange(size, dtype=dtype, device=device)
        shape = [1] * len(spatial)
        shape[axis] = size
        codes.append(torch.cat([angle.sin(), angle.cos()]).view(per_axis, *shape).expand(per_axis, *spatial))
    return torch.cat(codes)[:channels]


def gather_neighbours(tokens: Tensor, spatial: Sequence[int]) -> Tensor:
    """Tokens (B, L, C) of an even grid `spatial` -> (B, L / 8, 8C): each 2x2x2 block side by side, in Swin's order."""
    grid = tokens.unflatten(1, tuple(spatial))
    return torch.cat([grid[:, i::2, j::2, k::2] for i, j, k in _OFFSETS], dim=-1).flatten(1, 3)


class PatchMerging(nn.Module):
    """Halves the grid and doubles the width of tokens: neighbours side by side, LayerNorm, Linear without bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(8 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(8 * channels)

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:
        """(B, L, C) on the even grid `spatial` -> (B, L / 8, 2C)."""
        return self.reduction(self.norm(gather_neighbours(tokens, spatial)))


class PatchEmbedding(nn.Module):
    """Convolution with kernel and stride `patch`; `norm` is a LayerNorm over channels, or absent."""

    def __init__(self, channels_in: int, width: int, patch: int, norm: bool) -> None:
        super().__init__()
        self.proj = Conv3d(channels_in, width, patch, patch)
        self.norm = nn.LayerNorm(width) if norm else None

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        """(B, C, *spatial) -> tokens (B, L, width) and their grid."""
        x = self.proj(x)
        tokens = to_tokens(x)
        return (tokens if self.norm is None else self.norm(tokens)), x.shape[2:]


class MixerStage(nn.Module):
    """``mamba(norm(tokens))``, without a residual; `downsample` (not after the last stage) leads to the next one."""

    def __init__(self, width: int, last: bool, mixer: str, options: Mapping[str, int]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mamba = make_mixer(mixer, width, **options)
        self.downsample = None if last else PatchMerging(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, width) -> the same shape."""
        return self.mamba(self.norm(tokens))


class MixerPyramid(nn.Module):
    """Patch embedding, position code and stages; returns each stage's normalised map, fine to coarse."""

    def __init__(
        self,
        channels_in: int,
        widths: Sequence[int],
        patch: int,
        patch_norm: bool,
        position: bool,
        dropout: float,
        mixer: str,
        options: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.position, self.dropout = position, dropout
        self.patch_embed = PatchEmbedding(channels_in, widths[0], patch, patch_norm)
        self.layers = nn.ModuleList(MixerStage(w, w == widths[-1], mixer, options) for w in widths)
        for i, width in enumerate(widths):
            self.add_module(f"norm{i}", nn.LayerNorm(width))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, *spatial) -> maps (B, widths[i], *spatial / (patch * 2^i))."""
        tokens, grid = self.patch_embed(x)
        if self.position:
            exact = torch.promote_types(tokens.dtype, torch.float32)
            code = position_code(grid, tokens.shape[-1], exact, tokens.device)
            tokens = tokens + code.flatten(1).t().to(tokens.dtype)
        tokens = F.dropout(tokens, self.dropout, self.training)
        maps = []
        for i, stage in enumerate(self.layers):
            assert isinstance(stage, MixerStage)
            tokens = stage(tokens)
            maps.append(from_tokens(self.get_submodule(f"norm{i}")(tokens), grid))
            if stage.downsample is not None:
                tokens = stage.downsample(tokens, grid)
                grid = torch.Size(s // 2 for s in grid)
        return maps
