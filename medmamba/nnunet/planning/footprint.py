"""What training by a plan needs: memory and work of a step, bytes on the disk; and the refusal when it is not there.

The step is nnU-Net's: the plan's network, patch and batch, its loss with deep supervision, the recipe's optimiser. See
`medmamba.networks.footprint` for how it is measured without being run.
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import Tensor, nn

from ... import runtime
from ...errors import SetupError
from ...networks import info, network_class
from ...networks.footprint import DeviceType, Footprint, measure
from .. import plans as network_plans
from .. import presets
from ..presets import Recipe

GIB = 1 << 30
_CHECKPOINTS = 3
"""checkpoint_latest, checkpoint_best and one being written: each holds weights and optimiser."""


def estimate(
    plans: Mapping[str, Any],
    configuration: str,
    dataset_json: Mapping[str, Any],
    *,
    recipe: Recipe | None = None,
    device_type: str = "cpu",
    precision: str = "auto",
    recompute: bool = False,
) -> Footprint:
    """The footprint of a training step with the patch and batch size of a configuration.

    Parameters
    ----------
    plans: adapted to one of our networks, or nnU-Net's own. dataset_json: for channels and labels.
    recipe: its optimiser counts; None: that of the preset which the plans name, else nnU-Net's.
    device_type: "cpu" or "cuda", which need not be here.
    precision: "fp32", "bf16", "fp16"; "auto": half precision on CUDA, fp32 on a CPU, where only a trial can tell.

    Raises ConfigError for a configuration that the plans do not have or a patch that the network does not take.
    """
    recipe = recipe or _recipe(plans)
    device: DeviceType = "cuda" if device_type == "cuda" else "cpu"
    wanted = precision if precision != "auto" else recipe.precision
    task = _task(plans, configuration, dataset_json) | {
        "optimizer": recipe.optimizer,
        "precision": wanted if wanted != "auto" else "bf16" if device == "cuda" else "fp32",
        "recompute": recompute,
        "device_type": device,
    }
    return _estimate(json.dumps(task, sort_keys=True))


def build(
    plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]
) -> tuple[nn.Module, list[tuple[int, ...]]]:
    """The network of a configuration as it is trained, and the shapes of its inputs (two for registration)."""
    task = _task(plans, configuration, dataset_json)
    return _network(task), _shapes(task)


def _task(plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]) -> dict[str, Any]:
    """All that network and loss of a configuration depend on; can be written as JSON."""
    whole = network_plans.resolve(plans, configuration)
    manager = PlansManager(dict(plans))
    labels = manager.get_label_manager(dict(dataset_json))
    name = network_plans.carried_network(whole)
    levels = len(whole["architecture"]["arch_kwargs"]["strides"])
    pair = name is not None and info(name).task == "registration"
    channels = determine_num_input_channels(manager, configuration, dict(dataset_json))
    return {
        "architecture": whole["architecture"],
        "channels": 1 if pair else channels,
        "heads": labels.num_segmentation_heads,
        "regions": bool(labels.has_regions),
        "batch_dice": bool(whole.get("batch_dice", False)),
        "levels": levels,
        "deep": levels > 2 and (name is None or info(name).deep_supervision),
        "pair": pair,
        "shape": [int(whole["batch_size"]), *(int(size) for size in whole["patch_size"])],
    }


def _shapes(task: Mapping[str, Any]) -> list[tuple[int, ...]]:
    batch, *patch = task["shape"]
    return [(batch, task["channels"], *patch)] * (2 if task["pair"] else 1)


def _network(task: Mapping[str, Any]) -> nn.Module:
    architecture = task["architecture"]
    if task["pair"]:
        name = network_plans.carried_network(task)
        assert name is not None
        return network_class(name)(input_channels=task["channels"], **architecture["arch_kwargs"])
    return get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        task["channels"],
        task["heads"],
        allow_init=False,
        deep_supervision=task["deep"],
    )


def _recipe(plans: Mapping[str, Any]) -> Recipe:
    stamp = plans.get(network_plans.STAMP)
    return presets.preset(stamp["network"], stamp["preset"]).recipe if stamp else Recipe.model_validate({})


@lru_cache(maxsize=512)
def _estimate(task: str) -> Footprint:
    """`estimate` of a task that is written out as JSON."""
    t = json.loads(task)
    loss = _registration_loss if t["pair"] else _segmentation_loss(t)
    options = {key: t[key] for key in ("precision", "optimizer", "recompute", "device_type")}
    return measure(lambda: _network(t), _shapes(t), loss, **options)


def _segmentation_loss(task: Mapping[str, Any]) -> Callable[[Any], Tensor]:
    """nnU-Net's loss of an output, with a target of the right size."""
    dice = {"batch_dice": task["batch_dice"], "smooth": 1e-5, "do_bg": task["regions"], "ddp": False}
    loss: Any
    if task["regions"]:
        loss = DC_and_BCE_loss({}, dice, use_ignore_label=False, dice_class=MemoryEfficientSoftDiceLoss)
    else:
        loss = DC_and_CE_loss(dice, {}, weight_ce=1, weight_dice=1, dice_class=MemoryEfficientSoftDiceLoss)
    if task["deep"]:
        weights = np.array([0.5**level for level in range(task["levels"] - 1)])
        weights[-1] = 0
        loss = DeepSupervisionWrapper(loss, weights / weights.sum())
    channels = task["heads"] if task["regions"] else 1

    def of(output: Any) -> Tensor:
        outputs = output if isinstance(output, list | tuple) else [output]
        targets = [torch.empty((x.shape[0], channels, *x.shape[2:]), dtype=torch.int16) for x in outputs]
        return loss(outputs, targets) if task["deep"] else loss(outputs[0], targets[0])

    return of


def _registration_loss(output: Any) -> Tensor:
    """A similarity of the warped image and the smoothness of the field: what registration losses have in common."""
    warped, field = output[0], output[1]
    smooth = torch.stack([torch.diff(field, dim=axis).square().mean() for axis in range(2, field.dim())])
    return warped.square().mean() + smooth.sum()


def require(
    plans: Mapping[str, Any],
    configuration: str,
    dataset_json: Mapping[str, Any],
    *,
    device: torch.device,
    recipe: Recipe | None = None,
    precision: str = "auto",
    recompute: bool = False,
    folder: Path | None = None,
) -> Footprint:
    """Refuse a training run that would not go through: SetupError with what it needs, what is free and what helps.

    Parameters
    ----------
    device: whose free memory is asked. folder: where checkpoints go; None: the disk is not asked.
    others: as `estimate`, whose result is returned.
    """
    step = estimate(
        plans,
        configuration,
        dataset_json,
        recipe=recipe,
        device_type=device.type,
        precision=precision,
        recompute=recompute,
    )
    free = runtime.free_memory(device)
    if free is not None and step.total > free:
        whole = network_plans.resolve(plans, configuration)
        raise SetupError(
            f"A training step of {plans['plans_name']}, {configuration} (patch {by(whole['patch_size'])}, batch "
            f"{whole['batch_size']}) needs about {gib(step.total)}, and {gib(free)} are free on {device}.",
            _remedies(whole["batch_size"], free, recompute, precision, device),
        )
    if folder is not None:
        require_disk(checkpoint_bytes(step), folder, "Checkpoints need", "nnUNet_results")
    return step


def _remedies(batch: int, free: int, recompute: bool, precision: str, device: torch.device) -> str:
    words = [] if recompute else ["--recompute"]
    words += ["--batch-size 1"] if batch > 1 else []
    words += ["--precision bf16"] if device.type == "cpu" and precision in ("auto", "fp32") else []
    words.append("a smaller --patch-size")
    budget = f" --vram {max(1, free // GIB)}" if device.type == "cuda" else ""
    return f"Try {' or '.join(words)}, or plan for this machine: medmamba preprocess{budget} with the same network."


def require_disk(needed: int, folder: Path, what: str, variable: str) -> None:
    """SetupError when the disk of `folder` has less than `needed` bytes free; `variable` names the folder."""
    free = runtime.free_disk(folder)
    if needed > free:
        raise SetupError(
            f"{what} about {gib(needed)}, and {gib(free)} are free on the disk of {folder}.",
            f"Free some space, or set {variable} to a folder on another disk.",
        )


def checkpoint_bytes(step: Footprint) -> int:
    """What the checkpoints of a run take on the disk."""
    return _CHECKPOINTS * (step.weights + step.optimizer)


def preprocessed_bytes(configuration: Mapping[str, Any], channels: int, cases: int) -> int:
    """About what the preprocessed data of a (resolved) configuration take on the disk, before compression.

    nnU-Net keeps images in float32 and labels in int16.
    """
    sizes = configuration["median_image_size_in_voxels"]
    return int(math.prod(sizes) * cases * (4 * channels + 2))


def gib(size: int) -> str:
    """Bytes as people read them: "7.3 GB"."""
    return f"{size / GIB:.1f} GB" if size < 100 * GIB else f"{size / GIB:.0f} GB"


def by(sizes: Any) -> str:
    """40x56x40."""
    return "x".join(str(int(size)) for size in sizes)
