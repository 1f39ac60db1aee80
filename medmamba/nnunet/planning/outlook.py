"""What plans lead to, for people: sizes, memory against the budget, and how long training takes on this machine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ... import runtime
from ...engine import precision
from ...networks import info
from .. import plans as network_plans
from .. import presets
from ..presets import Recipe
from . import footprint

_VALIDATION = 1 / 3
"""Of a training step's time, what a validation step takes: it has no backward pass."""
_TRIAL_EDGE = {2: 64, 3: 32}


@dataclass(frozen=True)
class Outlook:
    """One configuration of a plan. Sizes in array order, spacing in millimetres."""

    configuration: str
    spacing: tuple[float, ...]
    median_shape: tuple[int, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    stages: int
    """Levels of the U-Net; 0 for a network that does not follow the plan's."""
    divisor: tuple[int, ...]
    """What the patch is divisible by."""
    parameters: int
    gigabytes: float
    """At the peak of a training step."""
    fits: bool
    """Whether memory and work stay within the budget."""
    seconds_per_step: float | None
    seconds_per_epoch: float | None
    timing: str
    """How the seconds were found, or why there are none."""


def outlooks(plans: Mapping[str, Any], dataset_json: Mapping[str, Any], trial: bool = True) -> list[Outlook]:
    """One for each configuration of plans that `planner.plan` made. `trial`: run short steps to know the seconds."""
    return [_outlook(plans, name, dataset_json, trial) for name in plans["configurations"]]


def _outlook(plans: Mapping[str, Any], name: str, dataset_json: Mapping[str, Any], trial: bool) -> Outlook:
    stamp, whole = plans[network_plans.STAMP], network_plans.resolve(plans, name)
    recipe = presets.preset(stamp["network"], stamp["preset"]).recipe
    expected, device = stamp["expected"][name], stamp["budget"]["device"]
    seconds, timing = None, "not tried"
    if trial:
        seconds, timing = _seconds(plans, name, dataset_json, recipe, device)
    strides = whole["architecture"]["arch_kwargs"]["strides"]
    follows = info(stamp["network"]).deep_supervision
    return Outlook(
        configuration=name,
        spacing=tuple(whole["spacing"]),
        median_shape=tuple(round(size) for size in whole["median_image_size_in_voxels"]),
        patch_size=tuple(whole["patch_size"]),
        batch_size=whole["batch_size"],
        stages=len(strides) if follows else 0,
        divisor=_divisor(stamp["network"], whole),
        parameters=expected["parameters"],
        gigabytes=expected["gigabytes"],
        fits=expected["fits"],
        seconds_per_step=seconds,
        seconds_per_epoch=None if seconds is None else seconds * _steps(recipe),
        timing=timing,
    )


def _steps(recipe: Recipe) -> float:
    """An epoch's steps, in training steps."""
    return recipe.iterations + _VALIDATION * recipe.validation_iterations


def _divisor(network: str, whole: Mapping[str, Any]) -> tuple[int, ...]:
    arguments = whole["architecture"]["arch_kwargs"]
    dims = len(whole["patch_size"])
    return network_plans.divisor(network, dims, arguments)


def _seconds(
    plans: Mapping[str, Any], name: str, dataset_json: Mapping[str, Any], recipe: Recipe, planned_for: str
) -> tuple[float | None, str]:
    """Seconds of a training step, by a trial at a small patch (CPU) or the plan's own (GPU); None and the reason."""
    device = runtime.device("auto")
    if device.type != planned_for:
        return None, "planned for a GPU, and this machine has none" if planned_for == "cuda" else "planned for a CPU"
    step = footprint.estimate(plans, name, dataset_json, recipe=recipe, device_type=planned_for)
    if device.type == "cuda":
        small = plans
        if step.total > (runtime.free_memory(device) or 0):
            return None, "the GPU here has not enough free memory for a trial"
    else:
        small = network_plans.with_sizes(plans, name, _small_patch(plans, name), 1)
    work = footprint.estimate(small, name, dataset_json, recipe=recipe, device_type=planned_for)
    network, shapes = footprint.build(small, name, dataset_json)
    module = _OneInput(network, len(shapes)).to(device)
    trial = precision.timed_step(module, torch.ones(shapes[0], device=device))
    known: dict[torch.dtype | None, float] = {}

    def once(dtype: torch.dtype | None) -> float:
        return known[dtype] if dtype in known else known.setdefault(dtype, trial(dtype))

    chosen = precision.choose(recipe.precision, device, once)
    seconds = once(chosen.dtype) * step.flops / work.flops
    patch = footprint.by(shapes[0][2:])
    what = "one step timed" if small is plans else f"one patch of {patch} timed, times the ratio of the work"
    return seconds, f"{what}; {str(chosen).split(' ')[0]}"


def _small_patch(plans: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """A patch that trains and takes a second or so: one step of the network's grid on each axis, two on the last."""
    whole = network_plans.resolve(plans, name)
    dims = len(whole["patch_size"])
    steps = [max(step, _TRIAL_EDGE[dims]) for step in _divisor(plans[network_plans.STAMP]["network"], whole)]
    steps[-1] *= 2
    return tuple(min(step, size) for step, size in zip(steps, whole["patch_size"], strict=True))


class _OneInput(nn.Module):
    """A network that registers, fed with the same image twice; any other as it is."""

    def __init__(self, network: nn.Module, inputs: int) -> None:
        super().__init__()
        self.network, self.inputs = network, inputs

    def forward(self, x: Tensor) -> Any:
        """(B, C, *spatial) -> the network's output."""
        return self.network(*([x] * self.inputs))


def duration(seconds: float | None) -> str:
    """0.03 s, 1.2 s, 12 s, 3.4 min, 2.1 h, 5.0 d; a dash for None."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{math.ceil(seconds)} s" if seconds >= 10 else f"{seconds:.2g} s"
