"""What one forward pass of a network takes in memory, without running it."""

import torch
from torch import nn

_ENGINE = {torch.float32: 1.0, torch.bfloat16: 0.6}


def forward_bytes(
    network: nn.Module, shape: tuple[int, ...], dtype: torch.dtype | None, device_type: str, engine: bool
) -> int:
    """Estimate of the bytes that a forward takes beyond the weights, its input and output included.

    Parameters
    ----------
    network: on the CPU. shape: (B, C, *patch). dtype: of autocast or of the engine's maps; None: float32.
    device_type: "cuda" or another. engine: on a CPU in its fast form.
    """
    from ..networks.footprint import forward

    peak = forward(network, shape, dtype, "cuda" if device_type == "cuda" else "cpu")
    return int(peak * _ENGINE[dtype or torch.float32]) if engine else peak


def text(size: int) -> str:
    """Bytes for people: "3.2 GB"."""
    return f"{size / 1e9:.1f} GB"
