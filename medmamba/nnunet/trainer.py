"""The base of our nnU-Net trainers: stock nnUNetTrainer with our network in the plans and our recipe in the loop."""

import math
import os
import random
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn
from torch._dynamo import OptimizedModule

from ..errors import MedMambaError
from ..networks import info
from . import plans as network_plans
from . import precision, presets
from .presets import Recipe

_PATIENCE = 5
"""Training steps in a row without a finite gradient after which a run is given up."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch brought. `dice` is nnU-Net's pseudo Dice on validation patches, one value per label or region."""

    epoch: int
    """Counted from 1."""
    epochs: int
    train_loss: float
    val_loss: float
    dice: tuple[float, ...]
    mean_dice: float
    learning_rate: float
    seconds: float
    precision: str = ""
    """The number format and why it was taken."""


class _Schedule:
    """The recipe's learning rate behind the one method that nnU-Net calls."""

    def __init__(self, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
        self._optimizer = optimizer
        self._recipe = recipe

    def step(self, epoch: int) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.rate(epoch)


class _Logger(MetaLogger):
    """nnU-Net's logger with at most one progress.png a minute: drawing it takes longer than a short epoch."""

    _seconds_between_plots = 60.0
    _last_plot = -math.inf

    def plot_progress_png(self, output_folder: str, always: bool = False) -> None:
        if always or time.monotonic() - self._last_plot > self._seconds_between_plots:
            super().plot_progress_png(output_folder)
            self._last_plot = time.monotonic()


class MedMambaTrainer(nnUNetTrainer):
    """Trains the network `network_name` on stock plans or on plans that carry it.

    Stock plans are adapted before nnU-Net sees them (copied, never changed), so that the plans.json beside the
    checkpoint carries our network and stock prediction rebuilds it. The recipe is that of the preset which the plans
    name. Raises ConfigError when the network cannot take the plans' configuration.
    """

    network_name: ClassVar[str]

    def __init__(  # nnU-Net reads its own arguments by these very names
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        plans = network_plans.adapt(plans, self.network_name, configuration=configuration)
        plans.setdefault("continue_training", False)
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.logger.__class__ = _Logger  # a new one would start a second W&B run where that is switched on
        self.on_report: Callable[[EpochReport], None] | None = None
        self.seed: int | None = None
        self.console = True
        self.precision = precision.Precision(None, "not chosen yet")
        self._bad_steps = 0
        strides = self.configuration_manager.pool_op_kernel_sizes
        # with two stages there is one output, whose weight nnU-Net would set to 0 and divide by it
        self.enable_deep_supervision = info(self.network_name).deep_supervision and len(strides) > 2
        self.use_recipe(presets.preset(self.network_name, plans[network_plans.STAMP]["preset"]).recipe)

    def use_recipe(self, recipe: Recipe) -> None:
        """Train by `recipe`. To be called before initialize(); patch and batch size are those of the plans."""
        self.recipe = recipe
        self.initial_lr = recipe.learning_rate
        self.weight_decay = recipe.weight_decay
        self.num_epochs = recipe.epochs
        self.num_iterations_per_epoch = recipe.iterations
        self.num_val_iterations_per_epoch = recipe.validation_iterations
        self.save_every = recipe.save_every

    def initialize(self) -> None:
        super().initialize()
        module = self._module()
        shape = (1, self.num_input_channels, *self.configuration_manager.patch_size)
        trial = precision.timed_step(module, torch.ones(shape, device=self.device))
        self.precision = precision.choose(self.recipe.precision, self.device, trial)
        self.print_to_log_file(f"Precision: {self.precision}")
        if not self.precision.scaled:
            self.grad_scaler = None
        precision.apply(module, self.precision, self.device)
        self.optimizer.register_step_pre_hook(self._drop_bad_gradients)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        rate, decay = self.initial_lr, self.weight_decay
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer: torch.optim.Optimizer
        if self.recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(parameters, rate, weight_decay=decay, momentum=0.99, nesterov=True)
        else:
            kind = torch.optim.Adam if self.recipe.optimizer == "adam" else torch.optim.AdamW
            optimizer = kind(parameters, rate, weight_decay=decay, eps=self.recipe.eps)
        return optimizer, _Schedule(optimizer, self.recipe)

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        # nnU-Net switches it on after validation even for trainers that do without
        super().set_deep_supervision_enabled(enabled and self.enable_deep_supervision)

    def _do_i_compile(self) -> bool:
        # compiling pays on long GPU runs only and breaks where no compiler is: wait to be asked for it
        return "nnUNet_compile" in os.environ and super()._do_i_compile()

    def on_train_start(self) -> None:
        if self.seed is not None:
            seed = self.seed + self.current_epoch  # a resumed run must not see the first epochs' patches again
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
        super().on_train_start()

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        # steps that were left out have no loss to average
        finite = [output for output in train_outputs if np.isfinite(output["loss"])]
        if not finite:
            raise self._diverged(f"no finite loss in epoch {self.current_epoch + 1}")
        super().on_train_epoch_end(finite)

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        if self.on_report is not None:
            self.on_report(self._report())

    def on_train_end(self) -> None:
        super().on_train_end()
        if self.local_rank == 0 and self.logger.get_value("val_losses", None):
            self.logger.plot_progress_png(self.output_folder, always=True)

    def save_checkpoint(self, filename: str) -> None:
        temporary = f"{filename}.writing"
        super().save_checkpoint(temporary)
        if os.path.exists(temporary):
            os.replace(temporary, filename)

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        console = also_print_to_console and getattr(self, "console", True)
        super().print_to_log_file(*args, also_print_to_console=console, add_timestamp=add_timestamp)

    def _module(self) -> nn.Module:
        """The network itself, without what DDP and torch.compile put around it."""
        module = self.network.module if self.is_ddp else self.network
        return module._orig_mod if isinstance(module, OptimizedModule) else module

    def _drop_bad_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Before each step: without a finite gradient the step does nothing, and some of these in a row end the run.

        The weights and the last checkpoint thus stay good. (A loss scaler leaves such steps out by itself.)
        """
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if torch.nn.utils.get_total_norm(gradients).isfinite():
            self._bad_steps = 0
            return
        optimizer.zero_grad(set_to_none=True)  # an optimizer passes over parameters without a gradient
        self._bad_steps += 1
        self.print_to_log_file(f"Step left out: no finite gradient ({self._bad_steps} in a row)")
        if self._bad_steps == 1:
            warnings.warn(f"{self.network_name}: a training step without a finite gradient was left out.", stacklevel=2)
        if self._bad_steps >= _PATIENCE:
            raise self._diverged(f"no finite gradient in {_PATIENCE} steps in a row (epoch {self.current_epoch + 1})")

    def _diverged(self, what: str) -> MedMambaError:
        return MedMambaError(
            f"Training of {self.network_name} diverged: {what}, precision {self.precision}.",
            f"Try --precision fp32 or a lower learning rate; the checkpoints in {self.output_folder} are still good.",
        )

    def _report(self) -> EpochReport:
        value = self.logger.get_value
        return EpochReport(
            epoch=self.current_epoch,
            epochs=self.num_epochs,
            train_loss=float(value("train_losses", -1)),
            val_loss=float(value("val_losses", -1)),
            dice=tuple(float(dice) for dice in value("dice_per_class_or_region", -1)),
            mean_dice=float(value("mean_fg_dice", -1)),
            learning_rate=float(value("lrs", -1)),
            seconds=float(value("epoch_end_timestamps", -1) - value("epoch_start_timestamps", -1)),
            precision=str(self.precision),
        )


__all__ = ["EpochReport", "MedMambaTrainer"]
