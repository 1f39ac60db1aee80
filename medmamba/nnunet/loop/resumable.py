"""nnU-Net's trainer with a recipe and a seed, whose checkpoints hold all it takes to go on at the same step."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from torch import nn
from torch._dynamo import OptimizedModule

from ...engine import precision
from ...errors import ConfigError, DataError, SetupError
from ...networks.recompute import recompute
from .. import checkpoints
from ..presets import Recipe
from .progress import Progress
from .ranks import RankedTrainer
from .stream import Phase, Stream, check_seed, random_words


class _Schedule:
    """The recipe's learning rate, times what the sentinel made of it, behind the one method that nnU-Net calls."""

    def __init__(self, optimizer: torch.optim.Optimizer, recipe: Recipe, progress: Progress) -> None:
        self._optimizer = optimizer
        self._recipe = recipe
        self.progress = progress

    def step(self, epoch: int) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.rate(epoch) * self.progress.rate_factor


class _Logger(MetaLogger):
    """nnU-Net's logger with at most one progress.png a minute: drawing it takes longer than a short epoch."""

    _seconds_between_plots = 60.0
    _last_plot = -math.inf

    def plot_progress_png(self, output_folder: str, always: bool = False) -> None:
        if always or time.monotonic() - self._last_plot > self._seconds_between_plots:
            from ..watching.curves import draw_progress

            draw_progress(Path(output_folder), self.local_logger.my_fantastic_logging)
            self._last_plot = time.monotonic()

    def cut(self, epochs: int) -> None:
        """Forget what was logged of later epochs."""
        for values in self.local_logger.my_fantastic_logging.values():
            del values[epochs:]


class ResumableTrainer(RankedTrainer):
    """Trains by a `recipe`; everything random follows from `seed`; `progress` says where the run stands.

    Attributes to set before `initialize`: `seed` (None: a new one), `recompute` (activation checkpointing).
    """

    dataloader_train: Stream
    dataloader_val: Stream

    def __init__(  # nnU-Net reads its own arguments by these very names
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.logger.__class__ = _Logger  # a new one would start a second W&B run where that is switched on
        self.seed: int | None = None
        self.recompute = False
        self.precision = precision.Precision(None, "not chosen yet")
        self.progress = Progress()
        self._between_epochs = False
        self.use_recipe(Recipe.model_validate({}))

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
        self.progress.seed = self.seed = self.of_the_first(check_seed(self.seed))
        torch.manual_seed(random_words(self.seed, Phase.STEP)[0])
        super().initialize()
        network = self.module()
        if self.recompute:
            recompute(network)
        trial = precision.timed_step(network, *self.trial_inputs())
        chosen = precision.choose(self.recipe.precision, self.device, trial)
        first = self.of_the_first(chosen.name)  # the processes' trials need not agree
        self.use_precision(chosen if first == chosen.name else precision.choose(first, self.device))

    def trial_inputs(self) -> tuple[torch.Tensor, ...]:
        """What the network takes, of the usual size: for a trial of number formats."""
        shape = (1, self.num_input_channels, *self.configuration_manager.patch_size)
        return (torch.ones(shape, device=self.device),)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        rate, decay = self.initial_lr, self.weight_decay
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer: torch.optim.Optimizer
        if self.recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(parameters, rate, weight_decay=decay, momentum=0.99, nesterov=True)
        else:
            kind = torch.optim.Adam if self.recipe.optimizer == "adam" else torch.optim.AdamW
            optimizer = kind(parameters, rate, weight_decay=decay, eps=self.recipe.eps)
        return optimizer, _Schedule(optimizer, self.recipe, self.progress)

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint whole or not at all. A full disk does not end the run, unless it is the last one."""
        if self.rank or self.disable_checkpointing:
            return
        try:
            checkpoints.write(Path(filename), self._state())
        except SetupError as error:
            if Path(filename).name == checkpoints.FINAL:
                raise
            self.say(f"{error.problem} The run goes on, older checkpoints stay.")

    def say(self, text: str) -> None:
        """Tell the user something, in one sentence."""
        self.print_to_log_file(text)

    def _state(self) -> dict[str, Any]:
        """nnU-Net's checkpoint, and beside it where the epoch stands."""
        scaler = self.grad_scaler
        return {
            "network_weights": self.module().state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "grad_scaler_state": None if scaler is None else scaler.state_dict(),
            "logging": self.logger.get_checkpoint(),
            "_best_ema": self._best_ema,
            "current_epoch": self.current_epoch + int(self._between_epochs),
            "init_args": self.my_init_kwargs,
            "trainer_name": self.__class__.__name__,
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
            checkpoints.RUN: self.progress.as_dict(),
        }

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Go on from a checkpoint of this trainer or of stock nnU-Net; its seed becomes this run's."""
        given = filename_or_checkpoint
        content = given if isinstance(given, dict) else checkpoints.read(Path(given))
        self._adopt(Progress.of(content.get(checkpoints.RUN, {"seed": check_seed(self.seed)})))
        kept = self.progress.precision  # initialize() chooses anew
        if not self.was_initialized:
            self.initialize()
        try:
            self.module().load_state_dict(content["network_weights"])
            self.optimizer.load_state_dict(content["optimizer_state"])
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"{given if isinstance(given, str) else 'The checkpoint'} belongs to another network or optimiser.",
                "Train without --resume, or with the options with which that run began.",
            ) from error
        self.my_init_kwargs = content["init_args"]
        self.current_epoch = content["current_epoch"]
        self.logger.load_checkpoint(content["logging"])
        self.logger.cut(self.current_epoch)
        self._best_ema = content["_best_ema"]
        self.inference_allowed_mirroring_axes = content["inference_allowed_mirroring_axes"]
        wanted: str = self.recipe.precision
        if kept and (wanted == "auto" or self.progress.strikes):
            wanted = kept
        if wanted != "auto":
            self.use_precision(precision.choose(wanted, self.device))
        if self.grad_scaler is not None and content["grad_scaler_state"] is not None:
            self.grad_scaler.load_state_dict(content["grad_scaler_state"])

    def _adopt(self, progress: Progress) -> None:
        """Take up another run's place and seed. ConfigError when a different seed was asked for."""
        if self.seed is not None and self.seed != progress.seed and not self.was_initialized:
            raise ConfigError(
                f"--seed {self.seed} is not the seed of the run to go on with, {progress.seed}.",
                "Leave --seed away with --resume, or begin a new run without --resume.",
            )
        progress.steps = min(progress.steps, self.num_iterations_per_epoch)
        self.progress = progress
        self.seed = progress.seed
        if self.lr_scheduler is not None:
            self.lr_scheduler.progress = progress

    def restore(self) -> None:
        """Load the newest intact checkpoint of this run and let the data go on from there."""
        self.wait_for_all()
        file = checkpoints.newest(Path(self.output_folder))
        if file is not None and not self.disable_checkpointing:
            self.load_checkpoint(str(file))
        else:
            self.logger.cut(self.current_epoch)
            self.progress.begin_epoch()
        self.dataloader_train.seek(self.current_epoch, self.progress.steps)
        self.dataloader_val.seek(self.current_epoch, 0)
        self.wait_for_all()

    def use_precision(self, chosen: precision.Precision) -> None:
        """Let the network run in that number format from now on."""
        self.precision = chosen
        self.progress.precision = chosen.name
        if not chosen.scaled:
            self.grad_scaler = None
        elif self.grad_scaler is None:  # given up for another format that was tried in between
            self.grad_scaler = torch.amp.GradScaler(self.device.type)
        precision.apply(self.module(), chosen, self.device)

    def module(self) -> nn.Module:
        """The network itself, without what DDP and torch.compile put around it."""
        module = self.network.module if self.is_ddp else self.network
        return module._orig_mod if isinstance(module, OptimizedModule) else module
