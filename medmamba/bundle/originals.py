"""The original authors' networks as ours: their classes, arguments and weights, ready for a bundle."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BundleError, ConfigError, DataError
from ..networks import NetworkInfo, from_upstream, infos
from ..nnunet import checkpoints
from .weights import parse_weights

_OUTER = ("input_channels", "num_classes", "deep_supervision")
"""Arguments that nnU-Net adds to those of the plans."""
_SIZES = {
    "UMambaBot": ("input_channels", "num_classes"),
    "UMambaEnc": ("input_channels", "num_classes"),
    "SegMamba": ("in_chans", "out_chans"),
    "SegMambaV2": ("in_chans", "out_chans"),
    "LightMUNet": ("in_channels", "out_channels"),
    "Vivim": ("", "out_chans"),
}
"""What the originals call channels in and out."""


def entry_of(upstream: str) -> NetworkInfo:
    """Our network for an original class. ConfigError for an unknown one."""
    found = next((info for info in infos() if upstream in info.originals), None)
    if found is None:
        known = ", ".join(name for info in infos() for name in info.originals)
        raise ConfigError(f"There is no original network {upstream!r}.", f"Use one of {known}.")
    return found


def read_weights(file: Path) -> Any:
    """The content of a checkpoint: .safetensors, or what torch.save wrote, read without running code from it.

    Raises DataError when the file is missing, damaged or holds anything else than tensors and plain values.
    """
    if file.suffix == ".safetensors" and file.is_file():
        try:
            return parse_weights(file.read_bytes(), file.name)
        except BundleError as error:
            why = error.problem.removeprefix(f"The bundle has a {file.name} ")
            raise DataError(f"{file} is a file of weights {why}", "Use another one.") from error
    return checkpoints.read_plain(file)


def with_sizes(upstream: str, arguments: Mapping[str, Any], channels: int, outputs: int) -> dict[str, Any]:
    """The original constructor's arguments, with the numbers of channels where they are not given."""
    inputs_key, outputs_key = _SIZES[upstream]
    sizes = {inputs_key: channels, outputs_key: outputs}
    return {**{key: value for key, value in sizes.items() if key}, **arguments}


def converted(upstream: str, arguments: Mapping[str, Any], state: Any) -> tuple[dict[str, Any], nn.Module]:
    """(our class's arguments, for segmentation without the numbers of channels, our network with the original weights).

    Raises ConfigError for arguments that the original does not have, DataError for weights that do not fit.
    """
    if not isinstance(state, Mapping):
        raise ConfigError("The checkpoint holds no state dict.", "Give a file that torch.save wrote of one.")
    network = from_upstream(upstream, arguments, state)
    module = importlib.import_module(entry_of(upstream).class_path.rpartition(".")[0])
    own = module.original_arguments(upstream, arguments)
    outer = () if entry_of(upstream).task == "registration" else _OUTER
    kept = {key: value for key, value in own.items() if key not in outer}
    return json.loads(json.dumps(kept)), network.eval()


def architecture(upstream: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The `architecture` of nnU-Net's plans with our class and its `arguments`."""
    given = {key: value for key, value in arguments.items() if key != "with_edge"}
    return {"network_class_name": entry_of(upstream).class_path, "arch_kwargs": given, "_kw_requires_import": []}


def segmentation_state(upstream: str, network: nn.Module) -> dict[str, Tensor]:
    """The weights under the keys of our segmentation network.

    Vivim takes clips and its single output is judged by a sigmoid. Ours takes volumes, and gets a background of logit
    0 beside that output: softmax over (0, x) is the sigmoid of x.
    """
    state = network.state_dict()
    if upstream != "Vivim":
        return state
    state = {f"vivim.{key}": value for key, value in state.items() if not key.startswith("edgeocr_cls_head.")}
    if len(state["vivim.out.bias"]) == 1:
        for key in ("vivim.out.weight", "vivim.out.bias"):
            state[key] = torch.cat([torch.zeros_like(state[key]), state[key]])
    return state
