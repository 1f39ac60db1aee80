"""Small helpers for reading the original authors' constructor arguments."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ..errors import ConfigError

T = TypeVar("T")


def only(
    architecture: str, kwargs: Mapping[str, Any], direct: Sequence[str], without_effect: Sequence[str]
) -> dict[str, Any]:
    """The entries of `kwargs` named in `direct`; ConfigError for one that is in neither list."""
    unknown = sorted(set(kwargs) - set(direct) - set(without_effect))
    if unknown:
        raise ConfigError(f"{architecture} has no argument {', '.join(unknown)}.", f"It takes {', '.join(direct)}.")
    return {k: v for k, v in kwargs.items() if k in direct}


def per_stage(value: T | Sequence[T], stages: int) -> list[T]:
    """`value` as a list with one entry per stage; a single number serves all. ConfigError for another length."""
    if not isinstance(value, Sequence):
        return [value] * stages
    if len(value) != stages:
        raise ConfigError(f"Got {len(value)} values {list(value)} for {stages} stages.", "Give one per stage.")
    return list(value)


def layer_dims(layer: object) -> int:
    """2 or 3 from the name of a torch layer class ("Conv3d", also with its module path) or the class itself."""
    name = layer if isinstance(layer, str) else getattr(layer, "__name__", str(layer))
    for dims in (2, 3):
        if name.endswith(f"{dims}d"):
            return dims
    raise ConfigError(f"{name!r} is no 2-D or 3-D layer.", 'Use a name such as "Conv3d".')
