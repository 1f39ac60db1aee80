"""The selective scan (Mamba-1, S6): one call, several implementations, the same answer.

>>> import torch
>>> from medmamba.scan import selective_scan
>>> u, delta = torch.randn(1, 10, 4), torch.rand(1, 10, 4)
>>> A, B, C = -torch.rand(4, 8), torch.randn(1, 10, 8), torch.randn(1, 10, 8)
>>> selective_scan(u, delta, A, B, C).shape
torch.Size([1, 10, 4])
"""

from .conv import causal_conv
from .dispatch import choose, explain
from .function import directional_scan, selective_scan
from .orders import DIRECTIONS, from_scan_order, to_scan_order
from .reference import selective_scan_reference

__all__ = [
    "DIRECTIONS",
    "causal_conv",
    "choose",
    "directional_scan",
    "explain",
    "from_scan_order",
    "selective_scan",
    "selective_scan_reference",
    "to_scan_order",
]
