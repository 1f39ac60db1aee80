"""Train a network on a preprocessed dataset, in this process or as one of several."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from .. import runtime
from ..errors import ConfigError, DataError, SetupError
from ..files import read_json
from . import checkpoints, host, presets, trainers
from . import plans as network_plans
from .folds.validation import validate
from .loop import fold_splits, ranks
from .loop.reports import EpochReport, Watcher
from .loop.trainer import MedMambaTrainer
from .planning import footprint
from .preparation import write_network_plans

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
    """Of all processes together."""
    patch_size: tuple[int, ...] | None = None
    device: str = "auto"
    precision: str = "auto"
    """"fp32", "bf16", "fp16", or "auto": the preset's, which mostly leaves it to the machine."""
    seed: int | None = None
    """What every random draw follows from; None: a new one, noted in the checkpoint."""
    deterministic: bool = False
    """On a GPU: only operations that give the same bits each time, which are slower. CPUs do so anyway."""
    accumulate: int = 1
    """In how many parts a batch goes through the network: less memory, the same mean gradient."""
    recompute: bool = False
    """Activation checkpointing: less memory, about a third more time."""
    save_minutes: float = 10.0
    """Between two checkpoint_latest.pth."""
    resume: bool = False
    """Go on from the checkpoint that is furthest on and can be read; start anew when there is none."""
    validation: bool = False
    """Predict and score the fold's validation cases in the end."""


def train(dataset_id: int, options: TrainOptions, watchers: Sequence[Watcher] = ()) -> Path:
    """Train, tell the `watchers` how it goes, and return the fold folder with checkpoint_final.pth.

    The network's plans are derived from nnU-Net's when they are not there yet. A configuration whose predictions a next
    stage needs is validated in any case, which writes them. Started by torchrun, this process is one of several.

    Raises ConfigError for options that do not go together, DataError when the dataset is not preprocessed, SetupError
    when memory or disk will not do, StoppedError when asked to stop, MedMambaError when training diverges.
    """
    trainers.for_network(options.network)
    name = host.dataset_name(dataset_id)
    with ranks.joined(device_of(options.device)) as device, host.variables(nnUNet_n_proc_DA=workers_of(device)):
        trainer = make_trainer(name, options, device)
        trainer.watchers = watchers
        with _determinism(options.deterministic):
            if options.resume:
                _resume(trainer)
            if trainer.current_epoch < trainer.num_epochs or not _finished(trainer):
                _require_room(trainer, options, device)
                trainer.run_training()
        fold = Path(trainer.output_folder)
        if options.validation or trainer.configuration_manager.next_stage_names:
            del trainer.network  # the validation loads its own
            trainer.wait_for_all()
            validate(
                fold,
                device=str(device),
                precision=options.precision,
                rank=trainer.rank,
                world=trainer.world,
                barrier=trainer.wait_for_all,
            )
    return fold


def make_trainer(name: str, options: TrainOptions, device: torch.device) -> MedMambaTrainer:
    """The trainer of a dataset (DatasetXXX_Name) with the options in it, not initialised yet. Raises as `train`."""
    if options.fold != "all" and not (isinstance(options.fold, int) and options.fold >= 0):
        raise ConfigError(f"Fold {options.fold!r} is neither a number from 0 nor 'all'.")
    plans, data = run_plans(name, options), host.folder("nnUNet_preprocessed") / name
    dataset = read_json(data / "dataset.json")
    plans["continue_training"] = options.resume
    results = host.folder("nnUNet_results")
    try:
        with host.muted():
            # nnU-Net's annotation of fold leaves "all" out
            trainer = trainers.for_network(options.network)(plans, options.configuration, options.fold, dataset, device)  # type: ignore[arg-type]
    except OSError as error:  # it makes the fold's folder and begins its log there
        raise SetupError(
            f"{error.filename or results} cannot be written: {error.strerror}.",
            "Mend that, or set nnUNet_results to another folder.",
        ) from error
    if options.fold != "all" and trainer.rank == 0:
        fold_splits.ensure_splits(data, Path(trainer.preprocessed_dataset_folder))
    trainer.wait_for_all()
    trainer.console = False
    trainer.seed = options.seed
    trainer.accumulate = options.accumulate
    trainer.recompute = options.recompute
    trainer.save_minutes = options.save_minutes
    trainer.use_recipe(recipe_of(trainer, options))
    return trainer


def _require_room(trainer: MedMambaTrainer, options: TrainOptions, device: torch.device) -> None:
    """SetupError when a step of this process does not fit into memory, or the checkpoints do not fit on the disk."""
    plans, configuration = trainer.plans_manager.plans, options.configuration
    batch = trainer.configuration_manager.batch_size
    at_once = math.ceil(math.ceil(batch / trainer.world) / min(batch, options.accumulate))
    footprint.require(
        network_plans.with_sizes(plans, configuration, None, at_once),
        configuration,
        trainer.dataset_json,
        device=device,
        recipe=trainer.recipe,
        precision=trainer.recipe.precision,
        recompute=options.recompute,
        folder=Path(trainer.output_folder) if trainer.rank == 0 else None,
    )


def recipe_of(trainer: MedMambaTrainer, options: TrainOptions) -> presets.Recipe:
    """The trainer's recipe with what the options say otherwise."""
    iterations = options.iterations
    return trainer.recipe.changed(
        epochs=options.epochs,
        iterations=iterations,
        validation_iterations=None if iterations is None else max(1, iterations // 5),
        precision=None if options.precision == "auto" else options.precision,
    )


def run_plans(name: str, options: TrainOptions) -> dict[str, Any]:
    """The network's plans with the options' sizes, after a check that the configuration is preprocessed."""
    place = host.folder("nnUNet_preprocessed") / name
    file = place / f"{presets.plans_name(options.network, options.preset)}.json"
    stock = place / "nnUNetPlans.json"
    if stock.is_file():  # for the reason why a network left a configuration out of its plans
        network_plans.adapt(read_json(stock), options.network, options.preset, options.configuration)
    plans = read_json(file if file.is_file() else write_network_plans(name, options.network, options.preset))
    plans = network_plans.with_sizes(plans, options.configuration, options.patch_size, options.batch_size)
    data = place / network_plans.resolve(plans, options.configuration)["data_identifier"]
    if not any(data.glob("*.pkl")):
        raise DataError(
            f"Configuration {options.configuration} of {name} is not preprocessed ({data} is missing or empty).",
            f"Run: medmamba preprocess --dataset {name} --net {options.network}",
        )
    return plans


def device_of(name: str) -> torch.device:
    """The device to train on. ConfigError for another GPU than the first, SetupError for one that is not there."""
    device = runtime.device(name)
    if device.type == "cuda" and device.index:
        raise ConfigError(
            f"nnU-Net trains on the first GPU it sees, not on {name}.", f"Set CUDA_VISIBLE_DEVICES={device.index}."
        )
    return device


def workers_of(device: torch.device) -> str | None:
    """How many worker processes prepare data, as nnU-Net's variable has it; None: nnU-Net's own rule."""
    if "nnUNet_n_proc_DA" in os.environ:
        return os.environ["nnUNet_n_proc_DA"]
    return "0" if device.type == "cpu" and runtime.cpu_count() <= _FEW_CORES else None


def _finished(trainer: MedMambaTrainer) -> bool:
    """Whether the final checkpoint is written: a run can die after its last epoch and before that."""
    fold = Path(trainer.output_folder)
    return checkpoints.newest(fold) == fold / checkpoints.FINAL


def _resume(trainer: MedMambaTrainer) -> None:
    """Load the checkpoint to go on from, if there is one; how many epochs to train is said by the options alone."""
    checkpoint = checkpoints.newest(Path(trainer.output_folder))
    if checkpoint is not None:
        trainer.load_checkpoint(str(checkpoint))


@contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    """Let a GPU compute the same bits each time, or choose its fastest way."""
    before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.benchmark = not wanted
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before[0]
        torch.use_deterministic_algorithms(before[1])


__all__ = ["EpochReport", "TrainOptions", "make_trainer", "run_plans", "train"]
