"""Feature maps as token sequences and back. Tokens run in memory order: the last image axis fastest."""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, *spatial) -> (B, L, C)."""
    return x.flatten(2).transpose(1, 2)


def from_tokens(tokens: Tensor, spatial: Sequence[int]) -> Tensor:
    """(B, L, C) -> (B, C, *spatial): contiguous; in inference on a CPU a view with the channels innermost.

    That is the layout in which a CPU convolves fastest, and it costs no copy; training stays with the usual one.
    """
    x = tokens.unflatten(1, tuple(spatial)).movedim(-1, 1)
    as_it_lies = x.device.type == "cpu" and not torch.is_grad_enabled()
    return x if as_it_lies else x.contiguous()
