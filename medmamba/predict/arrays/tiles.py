"""Where the sliding window's tiles lie, in nnU-Net's order, and how much each of their voxels counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil, prod

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ...errors import ConfigError

Corner = tuple[int, int, int]
"""First voxel (z, y, x) of a tile in the padded image."""
_SIGMA, _PEAK = 1 / 8, 10
_ROWS_OF_SLICES = 8
"""Rows of a volume that a network of slices goes through before they are handed on."""


def steps(size: Sequence[int], patch: Sequence[int], step_size: float) -> list[list[int]]:
    """Where tiles begin along each axis: evenly spread, `step_size` patches apart at most, the last one at the end.

    Raises ConfigError for a step that is not in (0, 1].
    """
    if not 0 < step_size <= 1:
        raise ConfigError(f"A step of {step_size} patches leaves gaps or never ends.", "Use one above 0, at most 1.")
    return [_starts(voxels, tile, step_size) for voxels, tile in zip(size, patch, strict=True)]


def _starts(voxels: int, tile: int, step_size: float) -> list[int]:
    last = voxels - tile
    intervals = ceil(last / (tile * step_size))
    return [round(last / intervals * index) for index in range(intervals + 1)] if intervals > 0 else [0]


@lru_cache(maxsize=4)
def gaussian(patch: tuple[int, ...]) -> Tensor:
    """A tile's weights (*patch), float16: a Gaussian of an eighth of the patch, 10 in the middle, nowhere 0."""
    impulse = np.zeros(patch)
    impulse[tuple(length // 2 for length in patch)] = 1
    bell = gaussian_filter(impulse, [length * _SIGMA for length in patch], 0, mode="constant", cval=0)
    weights = torch.from_numpy(bell / (bell.max() / _PEAK)).half()
    weights[weights == 0] = weights[weights > 0].min()
    return weights


@dataclass(frozen=True)
class Band:
    """Tiles that begin in the same rows, and what is final after them."""

    corners: tuple[Corner, ...]
    final: int
    """No later tile reaches a row of the padded image before this one."""


@dataclass(frozen=True)
class Grid:
    """The tiles of an image of `size` (z, y, x), with zeros on both sides where that is smaller than the patch.

    A patch of two axes is one of slices: a tile in every row of the first axis.
    """

    size: tuple[int, int, int]
    patch: tuple[int, ...]
    step_size: float

    @property
    def flat(self) -> bool:
        """Whether the network takes slices."""
        return len(self.patch) == 2

    @cached_property
    def tile(self) -> tuple[int, int, int]:
        """Voxels of a tile along the three axes."""
        depth, height, width = (1, *self.patch) if self.flat else self.patch
        return depth, height, width

    @cached_property
    def padded(self) -> tuple[int, int, int]:
        """The image's size with its padding."""
        depth, height, width = map(max, self.size, self.tile)
        return depth, height, width

    @cached_property
    def inside(self) -> tuple[slice, slice, slice]:
        """Where the image lies in its padding; of an odd padding the larger half comes after it."""
        before = [(padded - size) // 2 for padded, size in zip(self.padded, self.size, strict=True)]
        depth, height, width = (slice(low, low + size) for low, size in zip(before, self.size, strict=True))
        return depth, height, width

    @cached_property
    def _starts(self) -> list[list[int]]:
        if self.flat:
            return [list(range(self.size[0])), *steps(self.padded[1:], self.patch, self.step_size)]
        return steps(self.padded, self.patch, self.step_size)

    @property
    def tiles(self) -> int:
        """How many there are."""
        return prod(map(len, self._starts))

    @property
    def rows(self) -> int:
        """How many rows the tiles of one band reach."""
        return min(_ROWS_OF_SLICES, self.size[0]) if self.flat else self.tile[0]

    def bands(self) -> Iterator[Band]:
        """All tiles in nnU-Net's order, first axis outermost."""
        first, second, third = self._starts
        step = self.rows if self.flat else 1
        for index in range(0, len(first), step):
            rows, later = first[index : index + step], first[index + step :]
            corners = tuple((z, y, x) for z in rows for y in second for x in third)
            yield Band(corners, later[0] if later else self.padded[0])

    def cut(self, image: Tensor, corner: Corner) -> Tensor:
        """The tile at `corner` of an image (C, *size): a view, or with its padding a copy."""
        low = [start - inside.start for start, inside in zip(corner, self.inside, strict=True)]
        high = [start + length for start, length in zip(low, self.tile, strict=True)]
        here = [slice(max(0, a), min(size, b)) for a, b, size in zip(low, high, self.size, strict=True)]
        part = image[(slice(None), *here)]
        if part.shape[1:] != self.tile:
            there = [slice(seen.start - start, seen.stop - start) for seen, start in zip(here, low, strict=True)]
            whole = image.new_zeros((len(image), *self.tile))
            whole[(slice(None), *there)] = part
            part = whole
        return part[:, 0] if self.flat else part
