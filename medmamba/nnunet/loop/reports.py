"""What a training run tells those who watch it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .trainer import MedMambaTrainer


@dataclass(frozen=True)
class StepReport:
    """One batch, of training or of validation."""

    phase: Literal["train", "validation"]
    epoch: int
    """Counted from 1."""
    epochs: int
    step: int
    """Within the epoch and phase, counted from 1."""
    steps: int
    loss: float
    seconds: float
    """From asking for the batch to the end of the step."""
    waited: float
    """Seconds of these in which the step had to wait for its batch."""
    images: int
    """Patches in the batch, of all processes together."""


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
    """NaN where a registration network is trained on images that have no labels."""
    learning_rate: float
    seconds: float
    precision: str = ""
    """The number format and why it was taken."""
    images_per_second: float = 0.0
    """Training patches of all processes together, over the time of the training steps."""
    waited: float = 0.0
    """Share (0 to 1) of the time of the training steps in which they waited for data."""
    events: tuple[str, ...] = ()
    """What happened besides, one sentence each: a step taken back, a lower learning rate."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What else the validation measured, by name: of registration, folding and the length of displacements."""


class Watcher:
    """Base of those who watch a run; what a watcher does not care for it leaves as it is.

    Called in the training process, on the first process only where there are several. `start` comes when network,
    loaders and a checkpoint to go on from are loaded: `trainer.current_epoch` epochs are done then.
    """

    def start(self, trainer: "MedMambaTrainer") -> None:
        """The run begins, or goes on."""

    def step(self, report: StepReport) -> None:
        """A training or validation step is done."""

    def epoch(self, trainer: "MedMambaTrainer", report: EpochReport) -> None:
        """An epoch is done and logged; its checkpoints are written."""

    def message(self, text: str) -> None:
        """Something the user should know, in one sentence."""

    def end(self) -> None:
        """The run is over, well or not."""
