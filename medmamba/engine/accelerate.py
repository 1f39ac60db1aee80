"""A trained network in, a fast one with the same outputs out."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .. import runtime
from ..errors import ConfigError
from ..kernels import library
from ..scan import dispatch
from .convert import convert

_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


class Accelerated(nn.Module):
    """A network in its fast form; see `accelerate`."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, name: str) -> None:
        super().__init__()
        self.network, self.dtype, self.name = network, dtype, name
        super().train(False)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the original returns for the same arguments: float32, channels first, without gradients."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False), dispatch.numbers_only():
            return _plain(self.network(*inputs, **options))

    def train(self, mode: bool = True) -> "Accelerated":
        """For inference only: ConfigError for `mode` True."""
        if mode:
            raise ConfigError("An accelerated network cannot train.", "Train the original and accelerate it again.")
        return self


def _plain(output: Any) -> Any:
    """Tensors of an output as float32 in the usual layout."""
    if isinstance(output, Tensor):
        return (output.float() if output.dtype in _NAMES else output).contiguous()
    return type(output)(map(_plain, output)) if isinstance(output, list | tuple) else output


def best_dtype() -> torch.dtype:
    """bfloat16 where the CPU has matrix units for it, else float32."""
    return torch.bfloat16 if "amx_bf16" in runtime.cpu_flags() else torch.float32


def accelerate(network: nn.Module, dtype: torch.dtype | str = "auto") -> nn.Module:
    """The same network in the form that is fastest on this CPU; `network` itself is left as it is.

    Weights and maps have their channels innermost, norms with what follows them are one sweep of the compiled library,
    and a Mamba layer reads its tokens where they lie. Every network of `medmamba.networks`, and nnU-Net's
    PlainConvUNet and ResidualEncoderUNet, are covered wholly; in any other network those parts that are known.

    Parameters
    ----------
    network: a module on the CPU that takes batches; the result holds a copy of its weights as they are now.
    dtype: of weights and maps: torch.float32, torch.bfloat16, or "auto": bfloat16 if the CPU has the flag amx_bf16.
        Statistics, the scan's state and displacements are float32 in any case, and so is the output.

    `reuse_memory` makes it faster still. Raises ConfigError for a network elsewhere or another type.
    """
    chosen = best_dtype() if dtype == "auto" else dtype
    if chosen not in _NAMES:
        raise ConfigError(f"The engine has no {chosen}.", "Use auto, torch.float32 or torch.bfloat16.")
    places = {str(tensor.device) for tensor in [*network.parameters(), *network.buffers()]} - {"cpu"}
    if places:
        raise ConfigError(f"The engine runs on CPUs, the network is on {', '.join(sorted(places))}.", "Use .cpu().")
    original = getattr(network, "_orig_mod", network)  # torch.compile's wrapper shows the network there
    own = copy.deepcopy(original).eval().requires_grad_(False)
    for module in own.modules():
        # A forward that was put on the instance would run the original; what it adds (autocast) is not wanted here.
        module.__dict__.pop("forward", None)
    return Accelerated(convert(own, chosen), chosen, type(original).__name__)


def describe(module: nn.Module) -> str:
    """One line for people: the engine that runs `module`."""
    if not isinstance(module, Accelerated):
        return f"{type(module).__name__}: plain torch"
    return f"{module.name}: {_NAMES[module.dtype]}, channels innermost, {library.describe()}"
