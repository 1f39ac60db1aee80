"""Our planner: patch, batch and topology of a network within a memory budget, on top of nnU-Net's plans.

Spacings, resampling and normalisation stay nnU-Net's, so that all networks and budgets share one preprocessed copy. The
patch is the largest of nnU-Net's descent whose training step fits, by the footprint of the network itself; then the
batch grows while it fits and covers at most a twentieth of the dataset, as nnU-Net's does.
"""

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

from ... import runtime
from ...errors import ConfigError
from ...networks import info
from ...networks.footprint import Footprint
from .. import plans as network_plans
from .. import presets
from ..presets import Preset
from . import footprint
from .footprint import GIB
from .topology import candidates

_COVERED = 0.05
"""Share of the dataset's voxels that one batch may hold, as in nnU-Net."""
_LEAST_BATCH = 2
"""nnU-Net's, below which it would rather cut the patch."""
_MOST_BATCH = 128
_CPU_SHARE = 0.8
"""Share of the free memory that training may take; the rest is for data and for other programs."""
_CPU_STEP = 120e9 * 10
"""Operations that one core does in about ten to twenty seconds: a longer step is not worth waiting for."""
_VERSION = 1
"""Of these rules: a higher one plans anew."""


@dataclass(frozen=True)
class Budget:
    """What a training step may take."""

    gigabytes: float
    device: str
    """"cuda" or "cpu"."""
    origin: str
    """Where the figure comes from, in words."""
    operations: float | None = None
    """Most floating-point operations a step; None: no limit."""
    asked_for: float | None = None
    """GB of a GPU that the user named; None: the budget is this machine's."""

    def admits(self, step: Footprint) -> bool:
        """Whether a step stays within memory and work."""
        return step.total <= self.gigabytes * GIB and (self.operations is None or step.flops <= self.operations)

    def share(self, step: Footprint) -> float:
        """How many times the voxels of `step` fit, about: weights stay, the rest grows with them."""
        fixed = step.weights + step.optimizer
        memory = (self.gigabytes * GIB - fixed) / (step.total - fixed)
        return max(0.0, memory if self.operations is None else min(memory, self.operations / step.flops))


def budget(vram: float | None = None) -> Budget:
    """The budget for a GPU of `vram` GB; None: for the GPU at hand, else for training on this machine's CPU.

    Raises ConfigError for a size that no GPU has.
    """
    if vram is not None:
        if not 1 <= vram <= 1024:
            raise ConfigError(f"--vram {vram:g} is no GPU's memory in GB.", "Common sizes are 8, 12, 24, 48 and 80.")
        return Budget(float(vram), "cuda", "as asked", asked_for=float(vram))
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / GIB
        return Budget(round(memory, 1), "cuda", torch.cuda.get_device_name(0))
    free = runtime.free_memory()
    memory = 8.0 if free is None else free * _CPU_SHARE / GIB
    return Budget(round(memory, 1), "cpu", "this machine's free memory", runtime.cpu_count() * _CPU_STEP)


def plan(
    stock: Mapping[str, Any],
    dataset_json: Mapping[str, Any],
    network: str,
    preset: str = presets.DEFAULT,
    limits: Budget | None = None,
) -> dict[str, Any]:
    """nnU-Net's plans with the network in every configuration that it takes, each within `limits`.

    Parameters
    ----------
    stock: plans of nnU-Net's planner. dataset_json: the dataset's, for channels, labels and the number of cases.
    limits: None: `budget()`.

    The sizes of a preset are kept where they fit; of a preset that reproduces a paper they are kept in any case. The
    stamp notes the budget and what each configuration is expected to need. Raises ConfigError when the network takes no
    configuration or when even its smallest patch does not fit.
    """
    limits = limits or budget()
    chosen = presets.preset(network, preset)
    planned = network_plans.adapt(stock, network, preset)
    for name, content in planned["configurations"].items():
        if "patch_size" in content and not chosen.reproduces:
            whole = network_plans.resolve(stock, name)
            fitted = _fit(planned, name, whole, _voxels(stock, whole), dataset_json, chosen, limits)
            content |= {key: fitted[key] for key in ("patch_size", "batch_size", "architecture")}
    planned[network_plans.STAMP] |= {
        "budget": asdict(limits),
        "basis": basis(stock, chosen),
        "expected": {name: _expected(planned, name, dataset_json, limits) for name in planned["configurations"]},
    }
    return planned


def basis(stock: Mapping[str, Any], preset: Preset) -> str:
    """A digest of what plans were made from: when it changes they are out of date."""
    content = [_VERSION, preset.model_dump(mode="json"), stock["configurations"], stock["transpose_forward"]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _expected(
    plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any], limits: Budget
) -> dict[str, Any]:
    step = footprint.estimate(plans, configuration, dataset_json, device_type=limits.device)
    return {
        "gigabytes": round(step.total / GIB, 2),
        "parameters": step.parameters,
        "operations": step.flops,
        "fits": limits.admits(step),
    }


def _voxels(stock: Mapping[str, Any], configuration: Mapping[str, Any]) -> float:
    """Of a median image; slices are cut from whole volumes where the dataset has any."""
    if len(configuration["patch_size"]) == 2 and "3d_fullres" in stock["configurations"]:
        configuration = network_plans.resolve(stock, "3d_fullres")
    return math.prod(configuration["median_image_size_in_voxels"])


def _fit(
    plans: Mapping[str, Any],
    name: str,
    stock: Mapping[str, Any],
    volume: float,
    dataset_json: Mapping[str, Any],
    preset: Preset,
    limits: Budget,
) -> dict[str, Any]:
    """The configuration with the largest patch that fits, then the largest batch."""
    network, recipe = preset.network, preset.recipe
    median = stock["median_image_size_in_voxels"][-len(stock["patch_size"]) :]
    given = recipe.patch_size if len(recipe.patch_size or ()) == len(median) else None
    largest = None if given is None else network_plans.cut(given, median)
    unet = network_plans.unet_arguments(stock["architecture"])
    choices = candidates(network, preset.config, unet, stock["spacing"], median, largest)[::-1]  # small to large
    least = 1 if given is not None else min(_LEAST_BATCH, recipe.batch_size or _LEAST_BATCH)

    def tried(choice: int, batch: int) -> tuple[dict[str, Any], Footprint]:
        patch, topology = choices[choice]
        content = network_plans.carrying(stock, network, preset, patch, topology, batch)
        trial = {**plans, "configurations": {name: content}}
        return content, footprint.estimate(trial, name, dataset_json, recipe=recipe, device_type=limits.device)

    voxels = [math.prod(patch) for patch, _ in choices]
    affordable = voxels[-1] * limits.share(tried(len(choices) - 1, least)[1])
    guess = bisect_right(voxels, affordable) - 1
    place = _most(lambda choice: limits.admits(tried(choice, least)[1]), 0, len(choices) - 1, guess)
    if place == 0 and not limits.admits(tried(0, least)[1]):
        return tried(0, _least_at_all(name, network, tried, limits))[0]
    covered = round(volume * dataset_json["numTraining"] * _COVERED / voxels[place])
    most = recipe.batch_size or max(least, min(covered, _MOST_BATCH))
    guess = int(least * limits.share(tried(place, least)[1]))
    return tried(place, _most(lambda batch: limits.admits(tried(place, batch)[1]), least, max(least, most), guess))[0]


def _most(fits: Callable[[int], bool], low: int, high: int, guess: int) -> int:
    """The largest number up to `high` that fits; `low` when none above it does. Few questions where `guess` is near."""
    if high <= low or fits(high):
        return high
    trial, near = guess, True
    while high - low > 1:
        trial = min(max(trial, low + 1), high - 1)
        fitting = fits(trial)
        low, high = (trial, high) if fitting else (low, trial)
        trial = (trial + 1 if fitting else trial - 1) if near else (low + high) // 2
        near = False
    return low


def _least_at_all(name: str, network: str, tried: Any, limits: Budget) -> int:
    """The batch for a smallest patch that does not fit with the usual one: 1, which must fit at least in memory."""
    content, step = tried(0, 1)
    if step.total > limits.gigabytes * GIB:
        raise ConfigError(
            f"{network} does not fit into {limits.gigabytes:g} GB: {name} with patch "
            f"{footprint.by(content['patch_size'])} and batch 1 needs {footprint.gib(step.total)}.",
            "Take --preset small, another network, or a larger --vram.",
        )
    two = tried(0, _LEAST_BATCH)[1]
    return _LEAST_BATCH if two.total <= limits.gigabytes * GIB else 1


class MedMambaPlanner(ExperimentPlanner):
    """The same behind nnU-Net's Python API, `plan_experiment_dataset(id, planner_for("segmamba"), 24)`.

    nnU-Net's own planner runs first, with its 8 GB; the memory target is the budget of the network. Writes and returns
    the network's plans under `plans_name`, nnU-Net's default name standing for the network's own.
    """

    network: str
    preset: str = presets.DEFAULT

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetPlans",
        overwrite_target_spacing: Sequence[float] | None = None,
        suppress_transpose: bool = False,
    ) -> None:
        super().__init__(
            dataset_name_or_id, 8, preprocessor_name, "nnUNetPlans", overwrite_target_spacing, suppress_transpose
        )
        self.limits = budget(gpu_memory_target_in_gb)
        self.own_name = presets.plans_name(self.network, self.preset) if plans_name == "nnUNetPlans" else plans_name

    def plan_experiment(self) -> dict[str, Any]:
        """Plan, write the plans file, return the plans."""
        stock = deepcopy(super().plan_experiment())
        self.plans_identifier = self.own_name
        self.plans = plan(stock, self.dataset_json, self.network, self.preset, self.limits)
        self.plans["plans_name"] = self.own_name
        self.save_plans(self.plans)
        return self.plans


def planner_for(network: str, preset: str = presets.DEFAULT) -> type[MedMambaPlanner]:
    """The planner class of a network, as nnU-Net's Python API takes it. ConfigError for an unknown network."""
    name = "".join(part.capitalize() for part in f"{info(network).name}-{preset}".split("-"))
    return type(f"{name}Planner", (MedMambaPlanner,), {"network": network, "preset": preset})
