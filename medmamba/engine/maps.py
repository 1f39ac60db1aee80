"""Feature maps with their channels innermost, seen as rows of voxels without a copy."""

from collections.abc import Sequence

import torch
from torch import Tensor

_LAYOUT = {4: torch.channels_last, 5: torch.channels_last_3d}


def innermost(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`x` (B, C, *spatial) with channels innermost and in `dtype`; `x` itself where it is so already."""
    return x.to(dtype=dtype or x.dtype, memory_format=_LAYOUT[x.dim()]) if x.dim() in _LAYOUT else x.to(dtype)


def rows(x: Tensor) -> Tensor:
    """(B, C, *spatial) -> (B, V, C) dense: a view where the channels are innermost, else a copy."""
    return x.movedim(1, -1).contiguous().flatten(1, -2)


def as_map(rows: Tensor, spatial: Sequence[int]) -> Tensor:
    """(B, V, C) -> (B, C, *spatial), a view with channels innermost."""
    return rows.unflatten(1, tuple(spatial)).movedim(-1, 1)
