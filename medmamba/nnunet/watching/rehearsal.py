"""Everything that a training run would do, without doing it and without writing anything."""

import math
import os
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from ... import runtime
from ...engine import precision
from ...errors import ConfigError
from ...files import read_json
from ...scan import dispatch
from .. import checkpoints, host, presets, trainers, training
from .. import plans as network_plans
from ..folds import held_out
from ..loop import fold_splits, ranks
from ..loop.stream import fits_shared_memory
from ..planning import footprint
from ..presets import Recipe
from ..training import TrainOptions
from .history import NAME as HISTORY
from .history import read_history

_FILES = (
    checkpoints.LATEST, checkpoints.BEST, checkpoints.FINAL, HISTORY, "progress.png", "pictures/", "debug.json",
    "training_log_<date>.txt",
)  # fmt: skip


@dataclass(frozen=True)
class Rehearsal:
    """What would happen. Bytes and seconds; None for what is not known."""

    dataset: str
    fold: str
    train_cases: int
    val_cases: int
    plans: str
    """The plans file; it would be written when it is not there yet."""
    configuration: str
    spacing: tuple[float, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    """Of all processes together."""
    processes: int
    stages: int | None
    """None for networks whose depth is their own."""
    network: str
    preset: str
    parameters: int
    flops: int
    """Of one training step."""
    recipe: dict[str, Any]
    seed: int | None
    device: str
    precision: str
    scan: str
    workers: int
    """Processes that prepare training data, for each training process."""
    workers_why: str
    memory: int
    memory_free: int | None
    disk: int
    disk_free: int
    epoch_seconds: float | None
    """As in the run that is in the folder, where it had this patch, batch and device."""
    folder: str
    files: tuple[str, ...]
    start: str
    """From where training would go on."""
    epochs_left: int
    validation: bool
    problems: tuple[str, ...]
    """Why training would stop at once, or might; empty as it should be."""

    @property
    def seconds(self) -> float | None:
        """Of the whole run, where the seconds of an epoch are known."""
        return None if self.epoch_seconds is None else self.epoch_seconds * self.epochs_left

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {**asdict(self), "seconds": self.seconds}


def rehearse(dataset_id: int, options: TrainOptions, processes: int | None = None) -> Rehearsal:
    """Find out what `train` would do with these options.

    `processes`: training processes; None: as many as torchrun started. Raises what `train` raises for options and data
    that cannot be used; what only the machine lacks is among the `problems`.
    """
    name = host.dataset_name(dataset_id)
    trainer = trainers.for_network(options.network).__name__
    place = host.folder("nnUNet_preprocessed") / name
    plans, file = _plans(place, options)
    recipe: Recipe = training.recipe_of(_with_recipe(plans, options), options)
    model = f"{trainer}__{plans['plans_name']}__{options.configuration}"
    folder = host.folder("nnUNet_results") / name / model / f"fold_{options.fold}"
    start, done, hindrance = _start(folder, options, recipe.epochs)
    what = _planned(plans, options)
    how = _machine(plans, options, recipe, processes or int(os.environ.get("WORLD_SIZE", "1")), folder)
    lacks = (_lack("memory", how["memory"], how["memory_free"]), _lack("disk", how["disk"], how["disk_free"]))
    return Rehearsal(
        dataset=name,
        plans=str(file) if file.is_file() else f"{file} (would be written)",
        recipe=_said(recipe, options),
        **what,
        **how,
        epoch_seconds=_epoch_seconds(folder, recipe, what, training.device_of(options.device)),
        folder=str(folder),
        files=(*_FILES, "validation/") if what["validation"] else _FILES,
        start=start,
        epochs_left=max(0, recipe.epochs - done),
        problems=tuple(text for text in (hindrance, *lacks) if text),
    )


def _planned(plans: dict[str, Any], options: TrainOptions) -> dict[str, Any]:
    """The fields that follow from plans and options."""
    manager = PlansManager(plans)
    configuration = manager.get_configuration(options.configuration)
    train_cases, val_cases = _cases(manager, options)
    return {
        "fold": str(options.fold),
        "train_cases": len(train_cases),
        "val_cases": len(val_cases),
        "configuration": options.configuration,
        "spacing": tuple(float(step) for step in configuration.spacing),
        "patch_size": tuple(configuration.patch_size),
        "batch_size": configuration.batch_size,
        "stages": len(configuration.network_arch_init_kwargs.get("features_per_stage", ())) or None,
        "network": options.network,
        "preset": options.preset,
        "seed": options.seed,
        "validation": options.validation or bool(configuration.next_stage_names),
    }


def _machine(
    plans: dict[str, Any], options: TrainOptions, recipe: Recipe, processes: int, folder: Path
) -> dict[str, Any]:
    """The fields that depend on where training runs."""
    device = training.device_of(options.device)
    manager = PlansManager(plans)
    configuration = manager.get_configuration(options.configuration)
    dataset = read_json(host.folder("nnUNet_preprocessed") / plans["dataset_name"] / "dataset.json")
    share = ranks.share_of(configuration.batch_size, 0, processes).size
    channels = determine_num_input_channels(manager, configuration, dataset) + 1
    workers, why = _workers(device, (share, channels, *configuration.patch_size))
    need = footprint.estimate(
        network_plans.with_sizes(plans, options.configuration, None, math.ceil(share / options.accumulate)),
        options.configuration,
        dataset,
        recipe=recipe,
        device_type=device.type,
        precision=recipe.precision,
        recompute=options.recompute,
    )
    return {
        "processes": processes,
        "parameters": need.parameters,
        "flops": need.flops * options.accumulate,
        "device": _device_name(device),
        "precision": _precision(recipe, device),
        "scan": dispatch.explain(device),
        "workers": workers,
        "workers_why": why,
        "memory": need.total * (1 if device.type == "cuda" else processes),
        "memory_free": runtime.free_memory(device),
        "disk": footprint.checkpoint_bytes(need),
        "disk_free": runtime.free_disk(folder),
    }


def _plans(place: Path, options: TrainOptions) -> tuple[dict[str, Any], Path]:
    """The plans with which training would run, and their file, which need not be there yet."""
    file = place / f"{presets.plans_name(options.network, options.preset)}.json"
    stock = place / "nnUNetPlans.json"
    if file.is_file() or not stock.is_file():
        return training.run_plans(place.name, options), file  # without either it raises
    plans = network_plans.adapt(read_json(stock), options.network, options.preset, options.configuration)
    plans["plans_name"] = file.stem
    plans = network_plans.with_sizes(plans, options.configuration, options.patch_size, options.batch_size)
    held_out.preprocessed_folder(PlansManager(plans), options.configuration)  # raises when it is missing
    return plans, file


def _with_recipe(plans: Mapping[str, Any], options: TrainOptions) -> Any:
    """What `training` reads of a trainer to know its recipe."""
    return SimpleNamespace(recipe=presets.preset(options.network, plans[network_plans.STAMP]["preset"]).recipe)


def _cases(plans: PlansManager, options: TrainOptions) -> tuple[list[str], list[str]]:
    """The cases that training and validation would take."""
    data = held_out.preprocessed_folder(plans, options.configuration)
    every = sorted(path.stem for path in data.glob("*.pkl"))
    if options.fold == "all":
        return every, every
    splits = fold_splits.proposed(data.parent, data)
    if 0 <= options.fold < len(splits):
        return splits[options.fold]["train"], splits[options.fold]["val"]
    if options.fold < 0:
        raise ConfigError(f"Fold {options.fold!r} is neither a number from 0 nor 'all'.")
    held = held_out.validation_cases(plans, options.configuration, options.fold)
    return [case for case in every if case not in held], held


def _workers(device: torch.device, patch: tuple[int, ...]) -> tuple[int, str]:
    """How many processes prepare data, and why so many."""
    given = "nnUNet_n_proc_DA" in os.environ
    with host.variables(nnUNet_n_proc_DA=training.workers_of(device)):
        workers = int(get_allowed_n_proc_DA())
    if not workers:
        return 0, "in the training process: " + ("nnUNet_n_proc_DA=0" if given else "few cores")
    rule = "nnUNet_n_proc_DA" if given else "nnU-Net's rule"
    if fits_shared_memory([patch], workers + workers // 2):
        return workers, f"{rule}; batches pass through /dev/shm"
    return workers, f"{rule}; /dev/shm is too small for batches, so they pass through pipes"


def _said(recipe: Recipe, options: TrainOptions) -> dict[str, Any]:
    """The recipe with what the options add to it."""
    extra = {name: getattr(options, name) for name in ("accumulate", "recompute", "deterministic", "save_minutes")}
    sizes = {"patch_size", "batch_size"}  # said already, as the plans have them
    return {**recipe.model_dump(exclude=sizes), **extra}


def _precision(recipe: Recipe, device: torch.device) -> str:
    chosen = precision.choose(recipe.precision, device)
    return "bf16 or fp32, whichever a timed step finds faster" if chosen.reason == "not tried" else str(chosen)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return f"cpu, {runtime.cpu_name()}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


def _start(folder: Path, options: TrainOptions, epochs: int) -> tuple[str, int, str]:
    """From where training would go on, the epochs done by then, and what stands against it."""
    file = checkpoints.newest(folder)
    if file is None:
        return "anew" + (": --resume finds no checkpoint" if options.resume else ""), 0, ""
    if not options.resume:
        return f"anew; the checkpoints there would be moved to {checkpoints.PREVIOUS}/", 0, ""
    content = checkpoints.read(file)
    done, steps = checkpoints.reached(content)
    seed = content.get(checkpoints.RUN, {}).get("seed")
    differs = options.seed is not None and seed is not None and options.seed != seed
    problem = f"--seed {options.seed} is not the seed of the run to go on with, {seed}." if differs else ""
    if done >= epochs:
        return f"{file.name} has {done} of {epochs} epochs: nothing is left to train", done, problem
    place = f"epoch {done + 1}" + (f", step {steps + 1}" if steps else "")
    return f"at {place} of {epochs}, from {file.name}", done, problem


def _epoch_seconds(folder: Path, recipe: Recipe, what: Mapping[str, Any], device: torch.device) -> float | None:
    """Seconds of an epoch by those of the run that is in the folder, for as many steps as the recipe has."""
    rows = read_history(folder / HISTORY)
    before = next((row["run"] for row in reversed(rows) if "run" in row), None)
    wanted = {"patch_size": list(what["patch_size"]), "batch_size": what["batch_size"], "device": str(device)}
    if before is None or any(before.get(key) != value for key, value in wanted.items()):
        return None
    then = _work(Recipe(**before["recipe"]))
    return float(statistics.median(row["seconds"] for row in rows) * _work(recipe) / then)


def _work(recipe: Recipe) -> float:
    """Steps of an epoch; those of validation count for the third that they take."""
    return recipe.iterations + recipe.validation_iterations / 3


def _lack(what: str, needed: int, free: int | None) -> str:
    """A sentence when there is less free than needed."""
    if free is None or needed <= free:
        return ""
    return f"About {footprint.gib(needed)} of {what} are needed, and {footprint.gib(free)} are free."
