"""The network of checked plans, built only when its weights can fill it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import MedMambaError
from ..networks import infos, network_class
from ..nnunet.recipe import make_network
from .layout import refused
from .plans import check_sizes, count_layers

_SPARE_LAYERS = 64
"""Layers that the arguments may ask for beyond two a tensor: pooling, activations and the like have no weights."""


def build(
    plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str, tensors: int, size: int
) -> nn.Module:
    """The network of checked plans. BundleError when it is not what `tensors` tensors of `size` bytes can fill.

    It is built without memory first, so that arguments of absurd size cost nothing.
    """
    arguments = plans["configurations"][configuration]["architecture"]["arch_kwargs"]
    return _filled(partial(make_network, plans, dataset, configuration, None), arguments, tensors, size)


def build_registration(class_path: str, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    """The registration network of these arguments, as `build`; it must be MambaMorph."""
    entry = next((info for info in infos() if info.class_path == class_path), None)
    if entry is None or entry.task != "registration":
        raise refused(f"names {class_path!r} as its registration network, which medmamba does not have")
    check_sizes(arguments)
    size = sum(tensor.nbytes for tensor in state.values())
    return _filled(partial(network_class(entry.name), **arguments), arguments, len(state), size)


def _filled(make: Callable[[], nn.Module], arguments: Mapping[str, Any], tensors: int, size: int) -> nn.Module:
    if count_layers(arguments) > 2 * tensors + _SPARE_LAYERS:
        raise refused(f"describes a network of more layers than its weights have tensors ({tensors})")
    with failures("describes a network that cannot be built"):
        with torch.device("meta"):
            sketch = make()
        count = sum(parameter.numel() for parameter in sketch.parameters())
        if count > size:
            raise refused(f"describes a network of {count} parameters, and its weights have {size} bytes")
        return make().eval()


class failures:  # noqa: N801  (a context manager reads like a sentence)
    """Turn what goes wrong with content from outside into a BundleError."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise BundleError for an error of the content; others pass."""
        if isinstance(error, MedMambaError):
            if error.exit_code != 5:
                raise refused(f"{self.why}: {error.problem.rstrip('.')}") from error
        elif isinstance(error, Exception):
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise refused(f"{self.why}: {type(error).__name__}: {reason}") from error
