"""The networks by name. Listing them imports neither torch nor a network."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

Task = Literal["segmentation", "video segmentation", "registration"]


@dataclass(frozen=True)
class NetworkInfo:
    """What can be said of a network without building it."""

    name: str
    class_path: str
    """Full name of the class; also `network_class_name` in nnU-Net plans."""
    spatial_dims: tuple[int, ...]
    task: Task
    deep_supervision: bool
    divisor: str
    """What each axis of an input must be divisible by, in words."""
    reference: str
    trainer: str | None
    """Name of the nnU-Net trainer class, None where there is none."""
    originals: tuple[str, ...] = ()
    """Class names of the original authors that `from_upstream` takes for it."""


_UMAMBA = "U-Mamba, Ma et al. 2024, arXiv 2401.04722"
_MORPH = "MambaMorph, Guo et al. 2024, arXiv 2401.13934"
_NETWORKS = (
    NetworkInfo(
        "umamba-bot", "medmamba.networks.umamba.UMambaBot", (2, 3), "segmentation", True,
        "product of the strides", _UMAMBA, "nnUNetTrainerUMambaBot", ("UMambaBot",),
    ),
    NetworkInfo(
        "umamba-enc", "medmamba.networks.umamba.UMambaEnc", (2, 3), "segmentation", True,
        "product of the strides", _UMAMBA, "nnUNetTrainerUMambaEnc", ("UMambaEnc",),
    ),
    NetworkInfo(
        "segmamba", "medmamba.networks.segmamba.SegMamba", (3,), "segmentation", False,
        "16", "SegMamba, Xing et al. 2024, arXiv 2401.13560", "nnUNetTrainerSegMamba", ("SegMamba",),
    ),
    NetworkInfo(
        "segmamba-v2", "medmamba.networks.segmamba_v2.SegMambaV2", (3,), "segmentation", False,
        "16", "SegMamba-V2, Xing et al. 2025, doi 10.1109/TMI.2025.3589797", "nnUNetTrainerSegMambaV2", ("SegMambaV2",),
    ),
    NetworkInfo(
        "lightm-unet", "medmamba.networks.lightm_unet.LightMUNet", (2, 3), "segmentation", False,
        "2^(levels - 1), 8 by default", "LightM-UNet, Liao et al. 2024, arXiv 2403.05246",
        "nnUNetTrainerLightMUNet", ("LightMUNet",),
    ),
    NetworkInfo(
        "vivim", "medmamba.networks.vivim.VivimSegmentation", (3,), "video segmentation", False,
        "any (padded inside)", "Vivim, Yang et al. 2024, arXiv 2401.14168", "nnUNetTrainerVivim", ("Vivim",),
    ),
    NetworkInfo(
        "mambamorph", "medmamba.networks.mambamorph.MambaMorph", (3,), "registration", False,
        "16", _MORPH, "nnUNetTrainerMambaMorph", ("MambaMorph", "MambaMorphFeat", "MambaMorphOri"),
    ),
)  # fmt: skip


def infos() -> tuple[NetworkInfo, ...]:
    """All networks in the order in which they are shown."""
    return _NETWORKS


def names() -> tuple[str, ...]:
    """The names that `create` takes."""
    return tuple(n.name for n in _NETWORKS)


def info(name: str) -> NetworkInfo:
    """What is known of the network `name`; ConfigError for an unknown name."""
    for entry in _NETWORKS:
        if entry.name == name:
            return entry
    raise ConfigError(f"There is no network {name!r}.", f"Choose one of {', '.join(names())}.")


def network_class(name: str) -> "type[nn.Module]":
    """The class of the network `name`."""
    module, _, attribute = info(name).class_path.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def create(name: str, *, input_channels: int, num_classes: int | None = None, **config: Any) -> "nn.Module":
    """Build the network `name`.

    Parameters
    ----------
    input_channels: channels of the image (of each image, for registration).
    num_classes: outputs of a segmentation network; registration networks have none.
    config: the keyword arguments of the network's class.

    Raises ConfigError for an unknown name or argument.

    >>> from medmamba.networks import create
    >>> net = create("umamba-bot", input_channels=1, num_classes=3, features_per_stage=[8, 16, 32])
    """
    cls = network_class(name)
    if num_classes is not None:
        config["num_classes"] = num_classes
    try:
        return cls(input_channels=input_channels, **config)
    except TypeError as error:
        if "__init__" not in str(error):
            raise
        raise ConfigError(f"{name} cannot be built: {str(error).partition('__init__() ')[2]}.") from error
