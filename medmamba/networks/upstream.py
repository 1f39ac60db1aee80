"""Checkpoints of the original authors in our networks.

Our modules carry the original state_dict keys, so there is no table of names here: only the wrappings that training
scripts put around a state dict, the duplicates that some originals store, and the constructor's arguments differ.
"""

import importlib
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError
from .registry import infos

_WRAPPERS = ("network_weights", "state_dict", "model_state_dict", "module", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.")


def from_upstream(
    architecture: str, kwargs: Mapping[str, Any], state_dict: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build our network for an original one and load its weights.

    Parameters
    ----------
    architecture: the original class name: UMambaBot, UMambaEnc, SegMamba, SegMambaV2, LightMUNet, Vivim, MambaMorph,
        MambaMorphFeat or MambaMorphOri.
    kwargs: the original constructor's arguments; layers by the name of their torch class. For Vivim also
        `backbone_kwargs` (SegFormer's numbers) and `mamba_layers_per_stage`, which the original hard-codes.
    state_dict: original keys to tensors or arrays; wrapped checkpoints, prefixes of parallel training, duplicates and
        constant entries are understood. None leaves the fresh weights.

    Raises ConfigError for an unknown architecture or argument, DataError for weights that do not fit.
    """
    module, cls = _original(architecture)
    network = cls(**module.original_arguments(architecture, kwargs))
    if state_dict is not None:
        load_original(network, module.IGNORED_KEYS, state_dict)
    return network


def _original(architecture: str) -> tuple[ModuleType, type[nn.Module]]:
    """The module that knows an original class and the class that replaces it."""
    for entry in infos():
        if architecture in entry.originals:
            module = importlib.import_module(entry.class_path.rpartition(".")[0])
            clip_faced = getattr(module, architecture, None)
            return module, clip_faced or getattr(module, entry.class_path.rpartition(".")[2])
    known = ", ".join(name for entry in infos() for name in entry.originals)
    raise ConfigError(f"There is no original network {architecture!r}.", f"Use one of {known}.")


def load_original(network: nn.Module, ignored: tuple[str, ...], state_dict: Mapping[str, Any]) -> None:
    """Load original weights into `network`; `ignored` are patterns of keys that it does not have on purpose.

    Raises DataError when keys are missing, unknown or of another shape.
    """
    own = network.state_dict()
    given = {k: v for k, v in _unwrapped(state_dict, own).items() if not any(re.fullmatch(p, k) for p in ignored)}
    unknown = sorted(set(given) - set(own))
    missing = sorted(k for k in set(own) - set(given) if not k.endswith("num_batches_tracked"))
    if unknown or missing:
        raise DataError(
            f"The weights do not fit {type(network).__name__}: {_few('missing', missing)}{_few('unknown', unknown)}.",
            "Check the architecture and its arguments.",
        )
    tensors = {k: _as_tensor(v) for k, v in given.items()}
    wrong = sorted(k for k, v in tensors.items() if v.shape != own[k].shape)
    if wrong:
        k = wrong[0]
        raise DataError(
            f"The weights do not fit {type(network).__name__}: {k} has shape {tuple(tensors[k].shape)}, "
            f"expected {tuple(own[k].shape)} ({len(wrong)} such entries).",
            "Check the widths, channels and classes in the arguments.",
        )
    network.load_state_dict(own | tensors)


def _few(word: str, keys: list[str]) -> str:
    return f"{len(keys)} {word} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}) " if keys else ""


def _as_tensor(value: Any) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.asarray(value))


def _unwrapped(state_dict: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Any]:
    """The mapping of keys to weights inside a checkpoint, without prefixes that all our keys lack."""
    found: Mapping[str, Any] = state_dict
    while (inner := next((w for w in _WRAPPERS if isinstance(found.get(w), Mapping)), None)) is not None:
        found = found[inner]

    def strip(key: str) -> str:
        while key not in own and (prefix := next((p for p in _PREFIXES if key.startswith(p)), None)):
            key = key[len(prefix) :]
        return key

    return {strip(k): v for k, v in found.items()}
