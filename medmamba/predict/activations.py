"""What one forward pass of a network takes in memory, without running it.

The network runs on tensors without numbers while the bytes alive are counted (`medmamba.networks.footprint`); what a
process holds beyond that was measured: peak resident memory of three passes in a process of its own, float32, patches
of 64^3 and 96^3 voxels, U-Net (plain and residual), U-Mamba Bot and Enc, SegMamba, in torch and in the engine, against
the estimate: 0.57 to 1.06 where freed memory is reused, 0.7 to 0.95 where it goes back to the system; the engine in
bfloat16, at 64^3, 0.6 to 0.85.
"""

import torch
from torch import nn

from ..engine import reuses_memory

_HELD = {False: 1.15, True: 1.5}
"""Peak of a process over the bytes alive at most; by whether freed memory is reused, whose gaps stay with it."""
_ENGINE_BF16 = 0.55
"""The engine's maps are bfloat16 throughout, statistics and the scan's state are not."""
_CUDA_FRAGMENTS = 1.1
_ALLOWANCE = 32 << 20
"""Buffers of operators and threads."""


def forward_bytes(
    network: nn.Module, shape: tuple[int, ...], dtype: torch.dtype | None, device_type: str, engine: bool
) -> int:
    """Estimate of the bytes that a forward takes beyond the weights, its input and output included.

    Parameters
    ----------
    network: on the CPU. shape: (B, C, *patch). dtype: of autocast or of the engine's maps; None: float32.
    device_type: "cuda" or another. engine: on a CPU in its fast form.
    """
    from ..networks.footprint import forward  # imports torch's compiler parts

    if device_type == "cuda":
        return int(forward(network, shape, dtype, "cuda") * _CUDA_FRAGMENTS) + _ALLOWANCE
    share = _ENGINE_BF16 if engine and dtype is torch.bfloat16 else 1.0
    alive = forward(network, shape, None if engine else dtype, "cpu")
    return int(alive * share * _HELD[reuses_memory()]) + _ALLOWANCE


def text(size: int) -> str:
    """Bytes for people: "3.2 GB"."""
    return f"{size / 1e9:.1f} GB"
