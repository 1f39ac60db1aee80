"""Whether the CPU engine gives what torch gives: known of some networks, else seen on one tile of noise."""

from typing import Any

import torch
from torch import Tensor, nn

from ..engine import accelerate

_STOCK = "dynamic_network_architectures.architectures.unet"
_STOCK_UNETS = ("PlainConvUNet", "ResidualEncoderUNet")
_STOCK_LAYERS = (
    *(nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.LeakyReLU, nn.ReLU, nn.Identity, nn.AvgPool2d, nn.AvgPool3d, nn.Sequential, nn.ModuleList),
)
_CLOSE = 1e-3
"""Of the largest logit: far above float32's rounding, far below what another order of steps makes."""


def is_covered(network: nn.Module) -> bool:
    """Whether every part of such a network has been seen to run alike, and nobody watches its parts by hooks."""
    kind, modules = type(network), list(network.modules())
    known = kind.__module__.startswith("medmamba.networks.")
    if kind.__module__ == _STOCK and kind.__name__ in _STOCK_UNETS:
        leaves = (module for module in modules if next(module.children(), None) is None)
        known = all(type(leaf) in _STOCK_LAYERS for leaf in leaves)
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    return known and not any(getattr(module, name) for module in modules for name in hooks)


def runs_alike(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the engine's float32 logits for noise of this shape (1, C, *patch) are torch's."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            wanted = logits_of(network(noise))
            found = logits_of(accelerate(network, torch.float32)(noise))
        return torch.allclose(found, wanted, rtol=_CLOSE, atol=_CLOSE * float(wanted.abs().max()))
    except Exception:  # whatever surgery did to it, torch runs it, or says why not
        return False


def logits_of(output: Any) -> Tensor:
    """The logits in an output; of several, as with deep supervision that cannot be switched off, the first and finest.

    Raises ValueError when there are none.
    """
    if isinstance(output, list | tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise ValueError(f"its output is no tensor but {type(output).__name__}.")
    return output
