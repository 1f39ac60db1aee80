"""Stock nnU-Net's trainer and ours side by side, step by step, with nnU-Net's own network: what our loop costs."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from ..errors import DataError
from ..files import read_json
from . import host
from . import plans as network_plans
from .loop import fold_splits
from .loop.reports import StepReport, Watcher
from .trainers import PlansTrainer

STOCK, OURS = "nnU-Net's trainer", "medmamba's trainer"
_FOLD = 0


@dataclass(frozen=True)
class Step:
    """One training step. Seconds."""

    seconds: float
    waited: float
    """Of these, waiting for the batch."""
    cpu: float
    """Of all threads of this process: what a busy machine changes least."""


class Loop(Protocol):
    """A training that goes on by one step when it is told to."""

    def step(self) -> Step:
        """Take the next step."""

    def close(self) -> None:
        """End the processes that prepare data."""


class StockLoop:
    """What stock nnU-Net does in each turn of its training loop."""

    def __init__(
        self, plans: dict[str, Any], configuration: str, dataset: dict[str, Any], device: torch.device
    ) -> None:
        # nnU-Net takes what it needs out of the plans it is given
        self._trainer = nnUNetTrainer({**plans, "continue_training": False}, configuration, _FOLD, dataset, device)
        self._trainer.on_train_start()
        self._trainer.on_train_epoch_start()

    def step(self) -> Step:
        started, cpu = time.perf_counter(), time.process_time()
        batch = next(self._trainer.dataloader_train)
        waited = time.perf_counter() - started
        self._trainer.train_step(batch)  # ends with the loss on the CPU, so a GPU has done its work
        return Step(time.perf_counter() - started, waited, time.process_time() - cpu)

    def close(self) -> None:
        for loader in (self._trainer.dataloader_train, self._trainer.dataloader_val):
            getattr(loader, "_finish", lambda: None)()


class _Ear(Watcher):
    """Hears what the last step brought."""

    waited = 0.0

    def step(self, report: StepReport) -> None:
        """Keep it."""
        self.waited = report.waited


class OurLoop:
    """What our trainer does in each turn, with someone who watches; network and number format are stock nnU-Net's."""

    def __init__(
        self, plans: dict[str, Any], configuration: str, dataset: dict[str, Any], device: torch.device
    ) -> None:
        trainer = PlansTrainer({**plans, "continue_training": False}, configuration, _FOLD, dataset, device)
        trainer.use_recipe(trainer.recipe.changed(precision="fp16" if device.type == "cuda" else "fp32"))
        trainer.console = False
        self._ear = _Ear()
        trainer.watchers = [self._ear]
        trainer.on_train_start()
        trainer.on_epoch_start()
        trainer.on_train_epoch_start()
        self._trainer = trainer

    def step(self) -> Step:
        started, cpu = time.perf_counter(), time.process_time()
        self._trainer._training_step()
        self._trainer._pause()
        return Step(time.perf_counter() - started, self._ear.waited, time.process_time() - cpu)

    def close(self) -> None:
        for stream in (self._trainer.dataloader_train, self._trainer.dataloader_val):
            stream.close()


@contextmanager
def loops(dataset_id: int, configuration: str, device: torch.device, workers: int) -> Iterator[dict[str, Loop]]:
    """Both trainings of fold 0 by nnU-Net's own plans, ready for their first step; what they write is removed.

    `workers`: processes that prepare training data, the same for both (0: the training process does). Neither is
    compiled, unless nnUNet_compile asks for it. DataError when the dataset is not preprocessed.
    """
    place = host.folder("nnUNet_preprocessed") / host.dataset_name(dataset_id)
    plans = read_json(place / "nnUNetPlans.json")
    data = place / network_plans.resolve(plans, configuration)["data_identifier"]
    if not any(data.glob("*.pkl")):
        raise DataError(
            f"Configuration {configuration} of {place.name} is not preprocessed.",
            f"Run: medmamba preprocess --dataset {place.name} --config {configuration}",
        )
    fold_splits.ensure_splits(place, data)
    dataset = read_json(place / "dataset.json")
    torch.backends.cudnn.benchmark = True  # as both have it in training
    settings = {"nnUNet_n_proc_DA": str(workers), "nnUNet_compile": os.environ.get("nnUNet_compile", "f")}
    made: dict[str, Loop] = {}
    with tempfile.TemporaryDirectory() as results, host.variables(nnUNet_results=results, **settings), host.muted():
        try:
            for name, kind in ((STOCK, StockLoop), (OURS, OurLoop)):
                made[name] = kind(plans, configuration, dataset, device)
            yield made
        finally:
            for loop in made.values():
                loop.close()


def sizes(dataset_id: int, configuration: str) -> tuple[str, tuple[int, ...], int, str]:
    """Dataset folder, patch size, batch size and network class of nnU-Net's own plans."""
    name = host.dataset_name(dataset_id)
    content = network_plans.resolve(
        read_json(host.folder("nnUNet_preprocessed") / name / "nnUNetPlans.json"), configuration
    )
    network = content["architecture"]["network_class_name"].rpartition(".")[2]
    return name, tuple(content["patch_size"]), int(content["batch_size"]), network
