"""The networks: `names()` lists them, `create(name, ...)` builds one, `from_upstream(...)` reads original weights.

Importing this package does not import torch; building a network does.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .planning import fit_patch, plan_arguments
from .registry import NetworkInfo, create, info, infos, names, network_class

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "NetworkInfo",
    "create",
    "fit_patch",
    "from_upstream",
    "info",
    "infos",
    "names",
    "network_class",
    "plan_arguments",
]


def from_upstream(
    architecture: str, kwargs: Mapping[str, Any], state_dict: Mapping[str, Any] | None = None
) -> "nn.Module":
    """Our network with an original checkpoint's weights; see `medmamba.networks.upstream.from_upstream`."""
    from .upstream import from_upstream as load

    return load(architecture, kwargs, state_dict)
