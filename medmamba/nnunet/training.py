"""Train a network on a preprocessed dataset, in this process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from .. import runtime
from ..errors import ConfigError, DataError
from ..files import read_json
from . import checkpoints, host, presets, trainers
from . import plans as network_plans
from .preparation import write_network_plans
from .trainer import EpochReport, MedMambaTrainer

_FOLDS = 5
"""Into how many folds nnU-Net splits a dataset that brings no split."""
_FEW_CORES = 4
"""Up to this many, worker processes for augmentation take from the training what they give."""


@dataclass(frozen=True)
class TrainOptions:
    """What can be said about a training run. None: as the preset or the plans have it."""

    network: str
    preset: str = presets.DEFAULT
    fold: int | Literal["all"] = 0
    configuration: str = "3d_fullres"
    epochs: int | None = None
    iterations: int | None = None
    """Training batches an epoch; validation takes a fifth as many."""
    batch_size: int | None = None
    patch_size: tuple[int, ...] | None = None
    device: str = "auto"
    precision: str = "auto"
    """"fp32", "bf16", "fp16", or "auto": the preset's, which mostly leaves it to the machine."""
    seed: int | None = None
    """Makes a run repeatable on the same machine and software; augmentation then runs in this process."""
    resume: bool = False
    """Go on from the checkpoint with most epochs that can be read; start anew when there is none."""


def train(dataset_id: int, options: TrainOptions, on_epoch: Callable[[EpochReport], None] | None = None) -> Path:
    """Train, call `on_epoch` after each epoch, and return the fold folder with checkpoint_final.pth.

    The network's plans are derived from nnU-Net's when they are not there yet. A configuration whose predictions a next
    stage needs is validated in the end, which writes them.

    Raises ConfigError for options that do not go together, DataError when the dataset is not preprocessed,
    MedMambaError when training diverges.
    """
    trainer_class = trainers.for_network(options.network)
    name = host.dataset_name(dataset_id)
    plans = _plans(name, options)
    device = _device(options.device)
    single = options.seed is not None or (device.type == "cpu" and runtime.cpu_count() <= _FEW_CORES)
    with host.variables(nnUNet_n_proc_DA="0" if single else os.environ.get("nnUNet_n_proc_DA")):
        trainer = _trainer(trainer_class, name, plans, options, device)
        trainer.on_report = on_epoch
        torch.backends.cudnn.benchmark = options.seed is None
        torch.backends.cudnn.deterministic = options.seed is not None
        if options.resume:
            _resume(trainer)
        if trainer.current_epoch < trainer.num_epochs:
            trainer.run_training()
        if trainer.configuration_manager.next_stage_names:
            with host.muted():
                trainer.perform_actual_validation()
    return Path(trainer.output_folder)


def _plans(name: str, options: TrainOptions) -> dict[str, Any]:
    """The network's plans with the options' sizes, after a check that the configuration is preprocessed."""
    place = host.folder("nnUNet_preprocessed") / name
    file = place / f"{presets.plans_name(options.network, options.preset)}.json"
    stock = place / "nnUNetPlans.json"
    if stock.is_file():  # for the reason why a network left a configuration out of its plans
        network_plans.adapt(read_json(stock), options.network, options.preset, options.configuration)
    plans = read_json(file if file.is_file() else write_network_plans(name, options.network, options.preset))
    plans = network_plans.with_sizes(plans, options.configuration, options.patch_size, options.batch_size)
    data = place / network_plans.resolve(plans, options.configuration)["data_identifier"]
    cases = len(list(data.glob("*.pkl")))
    if not cases:
        raise DataError(
            f"Configuration {options.configuration} of {name} is not preprocessed ({data} is missing or empty).",
            f"Run: medmamba preprocess --dataset {name} --net {options.network}",
        )
    if options.fold != "all" and cases < _FOLDS and not (place / "splits_final.json").is_file():
        raise DataError(
            f"{name} has {cases} training cases, too few for {_FOLDS} folds.",
            f"Train with --fold all, or write a split of your own to {place / 'splits_final.json'}.",
        )
    return plans


def _device(name: str) -> torch.device:
    device = runtime.device(name)
    if device.type == "cuda" and device.index:
        raise ConfigError(
            f"nnU-Net trains on the first GPU it sees, not on {name}.", f"Set CUDA_VISIBLE_DEVICES={device.index}."
        )
    return device


def _trainer(
    trainer_class: type[MedMambaTrainer], name: str, plans: dict[str, Any], options: TrainOptions, device: torch.device
) -> MedMambaTrainer:
    if options.fold != "all" and not (isinstance(options.fold, int) and options.fold >= 0):
        raise ConfigError(f"Fold {options.fold!r} is neither a number from 0 nor 'all'.")
    dataset = read_json(host.folder("nnUNet_preprocessed") / name / "dataset.json")
    plans["continue_training"] = options.resume
    host.folder("nnUNet_results")
    with host.muted():
        # nnU-Net's annotation of fold leaves "all" out
        trainer = trainer_class(plans, options.configuration, options.fold, dataset, device)  # type: ignore[arg-type]
    trainer.console = False
    trainer.seed = options.seed
    iterations = options.iterations
    trainer.use_recipe(
        trainer.recipe.changed(
            epochs=options.epochs,
            iterations=iterations,
            validation_iterations=None if iterations is None else max(1, iterations // 5),
            precision=None if options.precision == "auto" else options.precision,
        )
    )
    return trainer


def _resume(trainer: MedMambaTrainer) -> None:
    """Load the checkpoint to go on from, if there is one; how many epochs to train is said by the options alone."""
    checkpoint = checkpoints.newest(Path(trainer.output_folder))
    if checkpoint is not None:
        trainer.load_checkpoint(str(checkpoint))
