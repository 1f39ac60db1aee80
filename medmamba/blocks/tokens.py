"""Feature maps as token sequences and back. Tokens run in memory order: the last image axis fastest."""

from collections.abc import Sequence

from torch import Tensor


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, *spatial) -> (B, L, C)."""
    return x.flatten(2).transpose(1, 2)


def from_tokens(tokens: Tensor, spatial: Sequence[int]) -> Tensor:
    """(B, L, C) -> (B, C, *spatial), contiguous."""
    return tokens.transpose(1, 2).contiguous().unflatten(2, tuple(spatial))
