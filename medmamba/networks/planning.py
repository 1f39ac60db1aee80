"""From an nnU-Net plan to a network's arguments: which patch a network takes and what its plan entry says.

A network class answers two questions itself, `plan_arguments` and `patch_divisor`; here they are asked by name.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from .registry import info, network_class


def fit_patch(
    name: str, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> tuple[int, ...]:
    """The smallest patch size not below `patch_size` that the network `name` takes.

    `unet_arguments` is the `arch_kwargs` of the stock plan, `config` the network arguments of a preset.
    Raises ConfigError when the network has no version for that many axes.
    """
    dims = info(name).spatial_dims
    if len(patch_size) not in dims:
        only = " and ".join(f"{d}-D" for d in dims)
        raise ConfigError(
            f"{name} works on {only} images only, not on a patch of size {tuple(patch_size)}.",
            "Choose another configuration (3d_fullres) or another network."
            if 3 in dims
            else "Choose the 2d configuration.",
        )
    divisor = network_class(name).patch_divisor(patch_size, unet_arguments, config or {})  # type: ignore[attr-defined]
    return tuple(math.ceil(p / d) * d for p, d in zip(patch_size, divisor, strict=True))


def plan_arguments(
    name: str, *, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The `arch_kwargs` of an nnU-Net plan for the network `name`: JSON-able, always with "strides".

    Without input_channels, num_classes and deep_supervision, which nnU-Net adds itself. Arguments as `fit_patch`.
    """
    return network_class(name).plan_arguments(patch_size, unet_arguments, config or {})  # type: ignore[attr-defined]
