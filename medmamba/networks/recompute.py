"""Activation checkpointing: a block keeps its input alone and runs again in the backward (Chen et al., 1604.06174).

Training then takes about a third longer and needs several times less memory for activations; outputs, gradients and
keys of the state dict stay what they were.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..blocks.mixers import Mixer
from ..blocks.pyramid import MixerStage
from ..blocks.residual import IdentityBlock, ShortcutBlock, UnetrBlock, UnetrUp
from ..blocks.segformer import SegformerBlock
from .lightm_unet import MixerBlock, ScaledMixerLayer, UpBlock
from .mambamorph import ActivatedConv
from .mambamorph import UpBlock as MorphUpBlock
from .segmamba import ChannelMLP, SpatialConv, TriMambaLayer
from .segmamba_v2 import AxisMambaLayer, LargeKernelBlock
from .umamba import TokenLayer
from .vivim import TemporalMambaLayer

BLOCKS: tuple[type[nn.Module], ...] = (
    *(ShortcutBlock, IdentityBlock, TokenLayer),
    *(UnetrBlock, UnetrUp, SpatialConv, TriMambaLayer, ChannelMLP, LargeKernelBlock, AxisMambaLayer),
    *(MixerBlock, ScaledMixerLayer, UpBlock),
    *(SegformerBlock, TemporalMambaLayer),
    *(MixerStage, MorphUpBlock, ActivatedConv),
)
"""What is run again as a whole. None of them may have a state that a second run would change, as batch norm has."""
_NNUNETS = ("StackedConvBlocks", "StackedResidualBlocks")
"""The same in nnU-Net's own networks, which need not be installed."""


def recompute(network: nn.Module) -> int:
    """Let every block of `network` recompute its activations in the backward; return how many blocks do.

    To be called once, before DDP. Without gradients (validation, prediction) nothing is different. Random numbers of a
    block that draws some are the same the second time.
    """
    blocks = list(dict.fromkeys(_outermost(network)))  # nnU-Net's decoder holds the encoder a second time
    for block in blocks:
        _wrap(block)
    return len(blocks)


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a network that lie in no other block."""
    for child in module.children():
        theirs = type(child).__module__.startswith("dynamic_network_architectures.")
        if isinstance(child, BLOCKS) or (theirs and type(child).__name__ in _NNUNETS):
            yield child
        else:
            yield from _outermost(child)


def _draws(block: nn.Module) -> bool:
    """Whether a block uses random numbers in training."""
    return any(
        isinstance(m, nn.modules.dropout._DropoutNd)
        or getattr(m, "drop_path", 0)
        or (isinstance(m, Mixer) and m.shuffle_probability > 0)
        for m in block.modules()
    )


def _wrap(block: nn.Module) -> None:
    forward, draws = block.forward, _draws(block)

    def again(*args: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args)
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=draws)

    block.forward = again
