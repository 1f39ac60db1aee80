"""When the numbers of a training step are no longer finite: which layer was the first, and what to do about it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...errors import DataError, MedMambaError

PATIENCE = 3
"""The time at which a run is given up."""
FORGIVEN_AFTER = 10
"""Epochs without trouble after which earlier ones no longer count."""
MILDER = 0.3
"""By which a learning rate is multiplied to make steps smaller."""


class NotFiniteError(MedMambaError):
    """A step whose gradient is not finite; `problem` names the first layer where that shows."""


def check_batch(batch: dict[str, Any]) -> None:
    """DataError when the batch itself holds NaN or infinity: no smaller step would help. Names the case."""
    for case, image in zip(batch["keys"], batch["data"], strict=True):
        if not torch.isfinite(image).all():
            raise DataError(
                f"The preprocessed image of case {case} holds NaN or infinite values.",
                "Run medmamba datasets check on the dataset, mend the case and preprocess again.",
            )


def first_bad_layer(network: nn.Module, forward_and_backward: Callable[[], Any]) -> str:
    """In words, where NaN or infinity first appears when a step is taken once more.

    Parameters
    ----------
    network: whose layers are watched.
    forward_and_backward: takes the step (without the optimiser) on the same batch.
    """
    bad_weights = [name for name, value in network.named_parameters() if not torch.isfinite(value).all()]
    if bad_weights:
        return f"the weights {bad_weights[0]} are not finite"
    order: list[str] = []
    bad: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            order.append(name)
            if not _finite(output) and _finite(inputs):
                bad.append(name)

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in network.named_modules() if name]
    try:
        network.zero_grad(set_to_none=True)
        forward_and_backward()
    finally:
        for hook in hooks:
            hook.remove()
    if bad:
        layer = network.get_submodule(bad[0])
        return f"the output of layer {bad[0]} ({type(layer).__name__}) is not finite"
    for name in reversed(order):  # the backward pass goes from the last layer to the first
        layer = network.get_submodule(name)
        gradients = [value.grad for value in layer.parameters(recurse=False) if value.grad is not None]
        if not _finite(gradients):
            return f"the gradient of layer {name} ({type(layer).__name__}) is not finite"
    return "the loss or its gradient is not finite"


def _finite(values: Any) -> bool:
    if isinstance(values, torch.Tensor):
        return not values.is_floating_point() or bool(torch.isfinite(values).all())
    if isinstance(values, dict):
        values = list(values.values())
    return all(_finite(value) for value in values) if isinstance(values, list | tuple) else True
