"""From nnU-Net's plans to plans that carry one of our networks.

nnU-Net builds whatever class `architecture.network_class_name` names, in training and in prediction. So a plan that
carries our class and its arguments is all that stock trainers, stock commands and our own need to agree on.
"""

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from ..errors import ConfigError
from ..networks import fit_patch, info, names, network_class, plan_arguments
from . import presets
from .presets import Preset

STAMP = "medmamba"
"""Key of the plans under which the network's and the preset's name are noted; nnU-Net does not look at it."""
_POOLS_EVERY_AXIS = ("segmamba", "segmamba-v2", "lightm-unet")
_ANISOTROPIC = 3.0
"""Spacing ratio from which nnU-Net itself calls an image anisotropic."""


def resolve(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """A copy of one configuration with everything it inherits. ConfigError lists the configurations if it is none."""
    content = _inherited(plans, configuration, ())
    if "architecture" not in content:  # plans of nnU-Net before 2.5, which nnU-Net itself brings up to date
        from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = ConfigurationManager(content).configuration
    return content


def _inherited(plans: Mapping[str, Any], configuration: str, heirs: tuple[str, ...]) -> dict[str, Any]:
    there = plans.get("configurations") or {}
    if configuration not in there:
        raise ConfigError(
            f"Plans {plans.get('plans_name')!r} of {plans.get('dataset_name')} have no configuration "
            f"{configuration!r}.",
            f"They have: {', '.join(there)}.",
        )
    if configuration in heirs:
        raise ConfigError(f"Configuration {configuration} of the plans inherits from itself.", "Correct the plans.")
    content = deepcopy(dict(there[configuration]))
    parent = content.get("inherits_from")
    return content if parent is None else {**_inherited(plans, parent, (*heirs, configuration)), **content}


def carried_network(configuration: Mapping[str, Any]) -> str | None:
    """Which of our networks a (resolved) configuration carries; None for any other network."""
    class_path = configuration.get("architecture", {}).get("network_class_name")
    return next((name for name in names() if info(name).class_path == class_path), None)


def refusal(network: str, plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> str:
    """Why a network cannot take a (resolved) configuration, in one sentence; empty when it can."""
    dims = len(configuration["patch_size"])
    if dims not in info(network).spatial_dims:
        return f"{network} works on volumes and this is a {dims}-D configuration"
    if info(network).task == "registration" and ("previous_stage" in configuration or "next_stage" in configuration):
        return f"{network} registers images at one resolution, so it takes neither a low-resolution stage nor a cascade"
    if network != "vivim":
        return ""
    if "previous_stage" in configuration or "next_stage" in configuration:
        return "vivim reads frames as they are, so it takes neither a low-resolution stage nor a cascade"
    if plans["transpose_forward"][0] != 0:
        return "vivim needs time on the first array axis, and nnU-Net put another one first, whose spacing is larger"
    return ""


def adapt(
    plans: Mapping[str, Any], network: str, preset: str = presets.DEFAULT, configuration: str | None = None
) -> dict[str, Any]:
    """A copy of `plans` in which every configuration that the network takes carries it; the others are left out.

    Parameters
    ----------
    plans: of nnU-Net's planner (plain or residual-encoder U-Net), or already adapted to this network: then unchanged.
    configuration: one that must be among those kept.

    Raises ConfigError when that one, or every one, cannot be used, or when the plans carry another network. The data
    identifiers stay, so that all networks share one preprocessed copy.
    """
    chosen = presets.preset(network, preset)
    adapted = deepcopy(dict(plans))
    refused = {}
    for name, content in plans["configurations"].items():
        whole = resolve(plans, name)
        if reason := refusal(network, plans, whole):
            refused[name] = reason
            del adapted["configurations"][name]
        elif content.get("inherits_from") in refused:
            adapted["configurations"][name] = _with_network(whole, network, chosen)
        elif "architecture" in content or "patch_size" in content or "inherits_from" not in content:
            changed = _with_network(whole, network, chosen)
            keys = [*content, "patch_size", "batch_size", "architecture"]
            adapted["configurations"][name] = {key: changed[key] for key in dict.fromkeys(keys)}
    if configuration is not None:
        resolve(plans, configuration)
    if configuration in refused or not adapted["configurations"]:
        name, reason = next((name, why) for name, why in refused.items() if configuration in (None, name))
        raise ConfigError(f"Configuration {name}: {reason}.", "Take another configuration or another network.")
    adapted.setdefault(STAMP, {"network": network, "preset": preset})
    return adapted


def with_sizes(
    plans: Mapping[str, Any], configuration: str, patch_size: tuple[int, ...] | None, batch_size: int | None
) -> dict[str, Any]:
    """A copy of adapted plans with another patch size (fitted to the network) or batch size in one configuration."""
    changed = deepcopy(dict(plans))
    whole = resolve(plans, configuration)
    content = changed["configurations"][configuration]
    if batch_size is not None:
        content["batch_size"] = batch_size
    if patch_size is not None:
        if len(patch_size) != len(whole["patch_size"]):
            raise ConfigError(
                f"Patch size {'x'.join(map(str, patch_size))} has {len(patch_size)} axes.",
                f"Configuration {configuration} has {len(whole['patch_size'])}.",
            )
        architecture, network = whole["architecture"], carried_network(whole)
        assert network is not None, "with_sizes takes adapted plans"
        arguments = architecture["arch_kwargs"]
        fitted = list(fit_patch(network, patch_size, arguments, arguments))
        if "input_size" in arguments:
            arguments["input_size"] = fitted
        content.update(patch_size=fitted, architecture=architecture)
    return changed


def _with_network(configuration: dict[str, Any], network: str, preset: Preset) -> dict[str, Any]:
    """The resolved configuration with our network in it and a patch that the network takes."""
    carried = carried_network(configuration)
    if carried == network:
        return configuration
    if carried is not None:
        raise ConfigError(
            f"These plans carry {carried}, not {network}.",
            f"Take nnU-Net's own plans (nnUNetPlans) or {presets.plans_name(network)}.",
        )
    unet = unet_arguments(configuration["architecture"])
    wanted = tuple(configuration["patch_size"])
    size = preset.recipe.patch_size
    if info(network).task == "registration":  # whole images: what a patch cannot see it cannot align
        wanted = tuple(round(size) for size in configuration["median_image_size_in_voxels"])
    if size is not None and len(size) == len(wanted):
        wanted = cut(size, configuration["median_image_size_in_voxels"])
    _warn_of_anisotropy(network, configuration)
    batch = preset.recipe.batch_size or configuration["batch_size"]
    return carrying(configuration, network, preset, wanted, unet, batch)


def carrying(
    configuration: Mapping[str, Any],
    network: str,
    preset: Preset,
    patch_size: Sequence[int],
    unet: Mapping[str, Any],
    batch_size: int,
) -> dict[str, Any]:
    """A configuration with our network in it, in the topology of the U-Net arguments `unet`; the patch is fitted."""
    patch = tuple(int(size) for size in fit_patch(network, patch_size, unet, preset.config))
    return {
        **configuration,
        "patch_size": list(patch),
        "batch_size": batch_size,
        "architecture": {
            "network_class_name": info(network).class_path,
            "arch_kwargs": plan_arguments(network, patch_size=patch, unet_arguments=unet, config=preset.config),
            "_kw_requires_import": [],
        },
    }


def divisor(
    network: str, dims: int, unet: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> tuple[int, ...]:
    """What a large patch of the network must be divisible by; arguments as `medmamba.networks.fit_patch`."""
    large = (64,) * dims
    return tuple(network_class(network).patch_divisor(large, unet, config or unet))  # type: ignore[attr-defined]


def cut(patch_size: tuple[int, ...], median_size: list[float]) -> tuple[int, ...]:
    """The patch cut to the images' median size: padding small images up to a large patch costs time for nothing."""
    medians = median_size[-len(patch_size) :]
    return tuple(min(size, max(1, round(median))) for size, median in zip(patch_size, medians, strict=True))


def unet_arguments(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the planned U-Net, plain or with residual encoder."""
    arguments = deepcopy(dict(architecture["arch_kwargs"]))
    needed = ("strides", "kernel_sizes", "features_per_stage", "n_conv_per_stage_decoder")
    missing = [key for key in needed if key not in arguments]
    if missing:
        raise ConfigError(
            f"The plans' network {architecture['network_class_name']} has no {', '.join(missing)} for ours to follow.",
            "Take plans of nnU-Net's own planner (nnUNetPlans).",
        )
    return arguments


def _warn_of_anisotropy(network: str, configuration: Mapping[str, Any]) -> None:
    spacing = configuration["spacing"]
    if network in _POOLS_EVERY_AXIS and max(spacing) > _ANISOTROPIC * min(spacing):
        warnings.warn(
            f"{network} halves every axis alike, and the spacing {[round(value, 2) for value in spacing]} is "
            "anisotropic: umamba-bot and umamba-enc follow nnU-Net's pooling and may do better.",
            stacklevel=4,
        )
