"""The base of our nnU-Net trainers: stock nnUNetTrainer with our network in the plans and our recipe in the loop."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from ...files import remove_leftovers
from ...networks import info
from ...stopping import StoppedError, StopRequest, stop_requests
from .. import checkpoints, host, presets
from .. import plans as network_plans
from ..presets import Recipe
from . import sentinel
from .reports import EpochReport, StepReport, Watcher
from .stepping import SteppingTrainer
from .stream import Phase, PlacedLoader, Stream, blame, fits_shared_memory, random_words


class MedMambaTrainer(SteppingTrainer):
    """Trains the network `network_name` on stock plans or on plans that carry it.

    Stock plans are adapted before nnU-Net sees them (copied, never changed), so that the plans.json beside the
    checkpoint carries our network and stock prediction rebuilds it. The recipe is that of the preset which the plans
    name. Raises ConfigError when the network cannot take the plans' configuration.

    Attributes to set before `initialize`: `seed` (None: a new one), `accumulate` (parts in which a batch goes through
    the network), `recompute` (activation checkpointing), `save_minutes` (between two checkpoints), `watchers`.
    """

    network_name: ClassVar[str]
    """Empty: the network of the plans as they are, by nnU-Net's own recipe."""

    def __init__(  # nnU-Net reads its own arguments by these very names
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        recipe = Recipe.model_validate({})
        if self.network_name:
            plans = network_plans.adapt(plans, self.network_name, configuration=configuration)
            recipe = presets.preset(self.network_name, plans[network_plans.STAMP]["preset"]).recipe
        plans.setdefault("continue_training", False)
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.watchers: Sequence[Watcher] = ()
        self.save_minutes = 10.0
        self.console = True
        self.events: list[str] = []
        self._stop = StopRequest()
        self._stopping = False
        self._saved = time.monotonic()
        strides = self.configuration_manager.pool_op_kernel_sizes
        # with two stages there is one output, whose weight nnU-Net would set to 0 and divide by it
        deep = not self.network_name or info(self.network_name).deep_supervision
        self.enable_deep_supervision = deep and len(strides) > 2
        self.use_recipe(recipe)

    # ---- preparation

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        # nnU-Net switches it on after validation even for trainers that do without
        super().set_deep_supervision_enabled(enabled and self.enable_deep_supervision)

    def get_dataloaders(self) -> tuple[Stream, Stream]:
        workers = get_allowed_n_proc_DA()
        try:
            with host.variables(nnUNet_n_proc_DA="0"):
                stock = super().get_dataloaders()
        except Exception as error:  # nnU-Net draws a first batch here
            for dataset in self.get_tr_and_val_datasets():
                blame(dataset, dataset.identifiers, error)
            raise
        pinned = self.device.type == "cuda"
        patch = (self.share.size, self.num_input_channels + 1, *self.configuration_manager.patch_size)
        shared = fits_shared_memory([patch], workers + workers // 2)
        streams = []
        for phase, loader, steps, processes in (
            (Phase.TRAIN, stock[0], self.num_iterations_per_epoch, workers),
            (Phase.VALIDATION, stock[1], self.num_val_iterations_per_epoch, min(workers, max(1, workers // 2))),
        ):
            assert self.seed is not None
            foreground = self.oversample_foreground_percent
            batches = PlacedLoader(loader.data_loader, self.seed, phase, self.share, foreground, shared)
            streams.append(Stream(batches, steps, processes, pinned))
        return streams[0], streams[1]

    def validation_batch(self, step: int) -> dict[str, Any]:
        """Patches to look at: the same ones for the same `step`, whatever the epoch. Disturbs nothing."""
        return self.dataloader_val.peek((0, step))

    # ---- the loop

    def run_training(self) -> None:
        try:
            if self.rank == 0:
                remove_leftovers(Path(self.output_folder))
            self.on_train_start()
            if (self.current_epoch, self.progress.steps) == (0, 0):
                self._begin_anew()
            self.dataloader_train.seek(self.current_epoch, self.progress.steps)
            self.dataloader_val.seek(self.current_epoch, 0)
            self._tell("start", self)
            with stop_requests() as self._stop:
                while self.current_epoch < self.num_epochs:
                    self._run_epoch_or_step_back()
            self.on_train_end()
            if self.any_of_all(bool(self._stop)):  # in the last epoch's last moments, after which no step looked
                raise self._stopped()
        finally:
            for stream in (self.dataloader_train, self.dataloader_val):
                if stream is not None:
                    stream.close()
            self._tell("end")

    def _run_epoch_or_step_back(self) -> None:
        try:
            self._run_epoch()
        except sentinel.NotFiniteError as trouble:
            self.step_back(trouble.problem)

    def _run_epoch(self) -> None:
        self.on_epoch_start()
        self.on_train_epoch_start()
        while self.progress.steps < self.num_iterations_per_epoch:
            self._training_step()
            self._pause()
        self.on_train_epoch_end([])
        with torch.no_grad():
            self.on_validation_epoch_start()
            outputs = []
            for step in range(self.num_val_iterations_per_epoch):
                outputs.append(self._validation_step(step))
                self._pause()
            self.on_validation_epoch_end(outputs)
        self.on_epoch_end()

    def _training_step(self) -> None:
        started = time.perf_counter()
        batch = self._next_batch(self.dataloader_train)
        place = (self.current_epoch, self.progress.steps)
        torch.manual_seed(random_words(self.progress.seed, Phase.STEP, *place, self.rank)[0])  # for dropout
        loss = self._common(float(self.train_step(batch)["loss"]))
        progress, waited = self.progress, self.dataloader_train.waited
        progress.steps += 1
        progress.losses.append(loss)
        progress.seconds += time.perf_counter() - started
        progress.waited += waited
        self._report_step("train", progress.steps, self.num_iterations_per_epoch, loss, started, waited)

    def _validation_step(self, step: int) -> dict[str, Any]:
        started = time.perf_counter()
        batch = self._next_batch(self.dataloader_val)
        output = self.validation_step(batch)
        loss = self._common(float(output["loss"]))
        steps, waited = self.num_val_iterations_per_epoch, self.dataloader_val.waited
        self._report_step("validation", step + 1, steps, loss, started, waited)
        return output

    def _common(self, loss: float) -> float:
        """The loss of all processes; with it they agree on whether to stop."""
        loss, self._stopping = self.agree(loss, bool(self._stop))
        return loss

    # ---- what nnU-Net calls at the ends of things

    def on_train_start(self) -> None:
        super().on_train_start()
        self.print_to_log_file(f"Seed: {self.progress.seed}. Precision: {self.precision}")

    def on_epoch_start(self) -> None:
        self._between_epochs = False
        self.logger.log("epoch_start_timestamps", time.time() - self.progress.seconds, self.current_epoch)

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        self.logger.log("train_losses", float(np.mean(self.progress.losses)), self.current_epoch)

    def on_epoch_end(self) -> None:
        progress = self.progress
        progress.quiet_epochs += 1
        if progress.quiet_epochs >= sentinel.FORGIVEN_AFTER:
            progress.strikes = 0
        seconds, waited = progress.seconds, progress.waited
        self._between_epochs = True
        progress.begin_epoch()
        super().on_epoch_end()
        report = self._report(seconds, waited)
        self.events.clear()
        self._tell("epoch", self, report)

    def on_train_end(self) -> None:
        self._between_epochs = True
        super().on_train_end()
        if self.rank == 0 and self.logger.get_value("val_losses", None):
            self.logger.plot_progress_png(self.output_folder, always=True)

    def _do_i_compile(self) -> bool:
        # compiling pays on long GPU runs only and breaks where no compiler is: wait to be asked for it
        return "nnUNet_compile" in os.environ and super()._do_i_compile()

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        console = also_print_to_console and getattr(self, "console", True)
        super().print_to_log_file(*args, also_print_to_console=console, add_timestamp=add_timestamp)

    def _begin_anew(self) -> None:
        """Put an earlier run's checkpoints aside, which must not be taken for this one's, and write a first one."""
        if self.rank == 0 and checkpoints.put_aside(Path(self.output_folder)):
            self.say(f"The checkpoints of an earlier run are in {self.output_folder}/{checkpoints.PREVIOUS} now.")
        self._save_latest()

    def _save_latest(self) -> None:
        self.save_checkpoint(str(Path(self.output_folder) / checkpoints.LATEST))
        self._saved = time.monotonic()

    def _pause(self) -> None:
        """Between two steps: save when it is time to, stop when that was asked for."""
        if self._stopping or time.monotonic() - self._saved >= 60 * self.save_minutes:
            self._save_latest()
        if self._stopping:
            raise self._stopped()

    def _stopped(self) -> StoppedError:
        place = f"in epoch {self.current_epoch + 1}, after step {self.progress.steps}; {checkpoints.LATEST} holds"
        if self.current_epoch >= self.num_epochs:
            place = f"after the last epoch; {checkpoints.FINAL} holds"
        return StoppedError(
            f"Stopped by {self._stop.name or 'another process'} {place} everything.",
            "Go on with --resume.",
            self._stop.number or signal.SIGTERM,
        )

    # ---- telling

    def _next_batch(self, stream: Stream) -> dict[str, Any]:
        batch = next(stream)
        if stream.complaint:
            self.say(f"{stream.complaint}; going on without worker processes, more slowly.")
            stream.complaint = ""
        return batch

    def say(self, text: str) -> None:
        self.events.append(text)
        self.print_to_log_file(text)
        self._tell("message", text)

    def _tell(self, what: str, *content: Any) -> None:
        """Tell every watcher; one that fails is told nothing more, for a run must not end because of who looks on."""
        for watcher in list(self.watchers) if self.rank == 0 else []:
            try:
                getattr(watcher, what)(*content)
            except Exception as error:
                self.watchers = [other for other in self.watchers if other is not watcher]
                name = type(watcher).__name__
                self.print_to_log_file(f"{name} failed and is left out from now on: {type(error).__name__}: {error}")

    def _report_step(self, phase: Any, step: int, steps: int, loss: float, started: float, waited: float) -> None:
        epoch, seconds = self.current_epoch + 1, time.perf_counter() - started
        report = StepReport(phase, epoch, self.num_epochs, step, steps, loss, seconds, waited, self.share.whole)
        self._tell("step", report)

    def _report(self, seconds: float, waited: float) -> EpochReport:
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
            images_per_second=self.share.whole * self.num_iterations_per_epoch / max(seconds, 1e-9),
            waited=waited / max(seconds, 1e-9),
            events=tuple(self.events),
        )


__all__ = ["EpochReport", "MedMambaTrainer"]
