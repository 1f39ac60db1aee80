"""Where half precision must not go: the mixers are computed in float32 when float16 comes in.

Selective-scan outputs reach 1e5 in trained networks, more than float16 holds (65504), and are NaN one layer later.
bfloat16 has the range and stays; the scan itself keeps a float32 state in any case.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_LARGEST = torch.finfo(torch.float16).max


def _float16_autocast(device: str) -> bool:
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16


@contextmanager
def widened(x: Tensor) -> Iterator[Tensor]:
    """Within it float16 autocast is off and `x`, if float16, is float32; anything else is left as it is."""
    device = x.device.type
    off = _float16_autocast(device)
    if x.dtype == torch.float16:
        x = x.float()
    with torch.autocast(device, enabled=torch.is_autocast_enabled(device) and not off):
        yield x


def saturate(x: Tensor) -> Tensor:
    """Clamp `x` to what float16 can hold where the next layer will run in float16; elsewhere `x` itself."""
    return x.clamp(-_LARGEST, _LARGEST) if _float16_autocast(x.device.type) else x
