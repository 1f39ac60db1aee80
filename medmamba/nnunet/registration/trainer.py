"""nnU-Net's trainer for registration networks: pairs instead of patches, a warped image instead of a label map."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import Tensor, nn

from ...networks import network_class
from ...register.similarity import choose
from .. import plans as network_plans
from ..loop.reports import EpochReport
from ..loop.stream import Phase, Stream, fits_shared_memory, random_words
from ..loop.trainer import MedMambaTrainer
from . import alignment, stamp
from .batches import PairBatches
from .cases import Cases
from .objective import Objective, counts, field_figures
from .options import Losses, RegistrationRecipe
from .pairing import read_pairing
from .validation import validate

_STILL = 0.01
"""Mean displacement in voxels below which a network is still the identity."""
_FIRST_EPOCHS = 3
"""After these it should not be any more."""


class RegistrationTrainer(MedMambaTrainer):
    """Trains `network_name` to register pairs of cases, or of channels of a case (`medmamba.nnunet.registration`).

    The validation's Dice chooses the best checkpoint; where nothing but the images is aligned, their similarity does.
    """

    def __init__(  # nnU-Net reads its own arguments by these very names
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.pairing = read_pairing(dataset_json)
        self._figures: dict[str, float] = {}

    @staticmethod
    def build_network_architecture(
        plans_manager: Any,
        configuration_manager: Any,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The plans' network for images of one channel; the number of labels does not matter to it."""
        name = network_plans.carried_network(configuration_manager.configuration)
        assert name is not None, "the plans are adapted"
        network = network_class(name)(input_channels=1, **configuration_manager.network_arch_init_kwargs)
        return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def _build_loss(self) -> Objective:
        self.objective = Objective(self.losses, self.module(), len(self.pairing.labels))
        return self.objective

    @property
    def registration(self) -> RegistrationRecipe:
        """The part of the recipe that is about registration."""
        return self.recipe.registration or RegistrationRecipe.model_validate({})

    @property
    def losses(self) -> Losses:
        """The recipe's losses, or a similarity of images where these need labels and there are none."""
        losses = self.registration.losses
        if self.pairing.labels or not losses.needs_labels:
            return losses
        name = choose(self.pairing.fixed_channel == self.pairing.moving_channel)
        return losses.model_copy(update={name: 1.0})

    @property
    def compares(self) -> bool:
        """Whether read-out features are asked of the network: labels are to shape them."""
        return self.losses.contrastive > 0 and bool(self.pairing.labels)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        head = getattr(self.module(), "read_out_head", None)
        if head is not None and not self.compares:
            head.requires_grad_(False)  # several processes would wait for its gradient
        return super().configure_optimizers()

    def trial_inputs(self) -> tuple[Tensor, ...]:
        shape = (1, 1, *self.configuration_manager.patch_size)
        return torch.ones(shape, device=self.device), torch.ones(shape, device=self.device)

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """There is none."""

    # ---- data

    def get_dataloaders(self) -> tuple[Stream, Stream]:
        parts = [sorted(map(str, names)) for names in self.do_split()]
        self.pairing.require(*parts)
        everyone = sorted({*parts[0], *parts[1]})
        data = Path(str(self.preprocessed_dataset_folder))
        dataset = infer_dataset_class(str(data))(str(data), everyone)
        plans, configuration = self.plans_manager.plans, self.configuration_manager.configuration
        size, spacing = stamp.grid_of(plans, configuration, dataset.load_case(everyone[0])[-1])
        cases = Cases(dataset, plans, configuration)
        self._align(cases, data, everyone, spacing)
        plans[network_plans.STAMP][stamp.KEY] = stamp.of(
            self.pairing, self.registration, self.objective.compares, configuration, size, spacing
        )
        whole = self.share.whole
        tested = -(-len(self.pairing.tested(*parts[::-1])) // whole)
        self.num_val_iterations_per_epoch = min(self.num_val_iterations_per_epoch, tested)
        workers = get_allowed_n_proc_DA()
        shape = (self.share.size, 4 + 2 * len(self.pairing.labels), *size)
        shared = fits_shared_memory([shape], workers + workers // 2)
        streams = []
        for phase, names, steps, processes in (
            (Phase.TRAIN, parts[0], self.num_iterations_per_epoch, workers),
            (Phase.VALIDATION, parts[1], self.num_val_iterations_per_epoch, min(workers, max(1, workers // 2))),
        ):
            assert self.seed is not None
            how = self.registration.augmentation
            batches = PairBatches(
                cases, names, self.pairing, size, spacing, self.seed, phase, self.share, how, parts[0], shared
            )
            streams.append(Stream(batches, steps, processes, self.device.type == "cuda"))
        return streams[0], streams[1]

    def _align(self, cases: Cases, data: Path, names: Sequence[str], spacing: stamp.Triple) -> None:
        """Affine maps between the cases: the first process finds them, the others read what it wrote."""
        if not self.registration.align or self.pairing.kind == "intra":
            return
        self.print_to_log_file(f"Affine alignment of {len(names)} cases; found once, kept in {alignment.FILE}.")
        for rank in (0, self.rank):
            if self.rank == rank:
                cases.align(data, names, self.pairing.fixed_channel, spacing)
            self.wait_for_all()

    # ---- steps

    def on_train_start(self) -> None:
        super().on_train_start()
        given, used = self.registration.losses, self.losses
        if used != given:
            self.say("There are no labels to train with: the similarity of the images is trained for instead.")
        kind, labels = self.pairing.kind, ", ".join(self.pairing.labels) or "none"
        self.print_to_log_file(f"Pairs: {kind}. Labels: {labels}. Losses: {used.model_dump()}")

    def loss_of(self, data: Tensor, target: Tensor) -> Tensor:
        fixed, moving, *_ = data.split(1, dim=1)
        outputs = self.network(moving, fixed, self.compares)
        return self.objective(outputs, data, target)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        data, target = self._moved(batch["data"]), self._moved(batch["target"])
        torch.manual_seed(random_words(self.progress.seed, Phase.VALIDATION)[0])  # a loss may draw voxels
        with torch.no_grad():
            fixed, moving, *_ = data.split(1, dim=1)
            outputs = self.module()(moving, fixed, self.compares)
            terms = self.objective.terms(outputs, data, target)
            loss = self.objective(outputs, data, target)
            found = {"loss": float(loss), "terms": {name: float(term) for name, term in terms.items()}}
            return found | self._measured(outputs, target)

    def _measured(self, outputs: Sequence[Tensor], target: Tensor) -> dict[str, Any]:
        """What a validation batch is judged by besides the loss."""
        displacement = outputs[2] if self.objective.diffeomorphic else outputs[1]
        fixed, moving = target.chunk(2, dim=1)
        found: dict[str, Any] = {"figures": field_figures(displacement)}
        if self.pairing.labels:
            warped = self.objective.warped(moving, displacement)
            found["before"] = torch.stack(counts(fixed, moving)).cpu().numpy()
            found["after"] = torch.stack(counts(fixed, warped)).cpu().numpy()
        return found

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        outputs = self.of_all(val_outputs)
        figures = _means([one["figures"] for one in outputs])
        terms = _means([one["terms"] for one in outputs])
        figures |= {f"loss_{name}": value for name, value in terms.items()}
        similarity = -sum(weight * terms[name] for name, weight in self.objective.similarities.items())
        if self.objective.similarities:
            figures["similarity"] = similarity
        dice = [similarity]
        if self.pairing.labels:
            dice = _dice(np.sum([one["after"] for one in outputs], 0))
            figures["dice_before"] = float(np.nanmean(_dice(np.sum([one["before"] for one in outputs], 0))))
            figures["dice"] = float(np.nanmean(dice))
        self._figures = figures
        score = figures["dice"] if self.objective.overlaps else similarity
        self.logger.log("mean_fg_dice", score, self.current_epoch)
        self.logger.log("dice_per_class_or_region", dice, self.current_epoch)
        self.logger.log("val_losses", float(np.mean([one["loss"] for one in outputs])), self.current_epoch)
        self.print_to_log_file(", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
        if figures["mean_displacement"] < _STILL and self.current_epoch + 1 == _FIRST_EPOCHS:
            self.say(
                f"After {_FIRST_EPOCHS} epochs the network still moves nothing ({figures['mean_displacement']:.4f} "
                "voxels on average): a higher learning rate, or less smoothness, may get it going."
            )

    def _report(self, seconds: float, waited: float) -> EpochReport:
        report = super()._report(seconds, waited)
        dice = report.dice if self.pairing.labels else ()  # without labels nnU-Net's log has the similarity there
        return replace(report, dice=dice, mean_dice=self._figures.get("dice", math.nan), figures=dict(self._figures))

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Register the fold's validation pairs and score them, as `medmamba validate` does."""
        self.wait_for_all()
        if self.rank == 0:
            validate(Path(str(self.output_folder)), self.fold, device=str(self.device))
        self.wait_for_all()


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _dice(sums: Any) -> list[float]:
    """Dice of each label from (3, L) voxels: in both, too much, missing; NaN for a label that is nowhere."""
    both, more, less = np.asarray(sums, np.float64)
    total = 2 * both + more + less
    return [float(value) for value in np.divide(2 * both, total, out=np.full_like(total, np.nan), where=total > 0)]
