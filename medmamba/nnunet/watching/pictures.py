"""Every few epochs a picture of one validation patch: what is there and what the network finds."""

import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..loop.reports import EpochReport, Watcher
from .drawing import Sheet, draw_sheet
from .foreground import foreground_names
from .orientation import STACK, axes, view

if TYPE_CHECKING:
    from ..loop.trainer import MedMambaTrainer

FOLDER = "pictures"
_BATCHES = 4
"""Validation batches in which a patch with foreground is looked for."""
_THICK = 2.0
"""Spacing ratio from which an image has a plane in which it was taken."""


@dataclass(frozen=True)
class Patch:
    """One validation patch, with what is true of it."""

    case: str
    data: torch.Tensor
    """(1, C, Z, Y, X) or (1, C, Y, X), as the network takes it."""
    truth: NDArray[np.bool_]
    """(K, ...): one mask per label or region; they overlap where regions do."""
    counted: NDArray[np.bool_]
    """(...): False where the truth is not known (the ignore label)."""

    @property
    def foreground(self) -> int:
        """Voxels of all classes."""
        return int(self.truth.sum())

    def cut(self, across: int) -> int:
        """Where a cut across an axis shows most of all classes, each class weighing the same."""
        others = tuple(axis + 1 for axis in range(self.truth.ndim - 1) if axis != across)
        areas = self.truth.sum(others)  # (K, length of the axis)
        shares = areas / np.maximum(areas.sum(1, keepdims=True), 1)
        return int(shares.sum(0).argmax()) if self.foreground else areas.shape[1] // 2


class Pictures(Watcher):
    """Writes `pictures/epoch_0010.png` into the fold folder: the first epoch, every `every` epochs, and the last.

    It is always the same validation patch, cut where most is to be seen. Training goes on as if nothing had been
    drawn: random generators and the modes of the network's parts are as before. A picture that cannot be made costs
    one message (through `tell`), not the run.
    """

    def __init__(self, every: int = 10, tell: Callable[[str], None] = lambda text: None) -> None:
        self._every = every
        self._tell = tell
        self._patch: Patch | None = None
        self._failed = False

    def epoch(self, trainer: "MedMambaTrainer", report: EpochReport) -> None:
        """Draw when it is time to."""
        due = report.epoch == 1 or report.epoch % self._every == 0 or report.epoch == report.epochs
        if not due or self._failed:
            return
        try:
            with undisturbed(trainer):
                self._draw(trainer, report.epoch)
        except Exception as error:
            self._failed = True
            reason = (str(error).splitlines() or [""])[0]
            self._tell(f"No more pictures of validation patches: {type(error).__name__}: {reason}")

    def _draw(self, trainer: "MedMambaTrainer", epoch: int) -> None:
        if self._patch is None:
            self._patch = find_patch(trainer)
        found = predict(trainer, self._patch)
        assert trainer.output_folder is not None
        draw_sheet(
            Path(trainer.output_folder) / FOLDER / f"epoch_{epoch:04d}.png",
            sheet(trainer, self._patch, found, f"epoch {epoch}"),
        )


@contextmanager
def undisturbed(trainer: "MedMambaTrainer") -> Iterator[None]:
    """Evaluate in between: the network in evaluation mode, and everything as it was afterwards."""
    module = trainer.module()
    modes = {part: part.training for part in module.modules()}
    state = random.getstate(), np.random.get_state()
    gpus = [trainer.device] if trainer.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=gpus), torch.no_grad():
            module.eval()
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        random.setstate(state[0])
        np.random.set_state(state[1])


def find_patch(trainer: "MedMambaTrainer") -> Patch:
    """Of the first validation batches, the patch with the most foreground of the first batch that has any."""
    patches: list[Patch] = []
    for step in range(_BATCHES):
        patches = patches_of(trainer.validation_batch(step), trainer.label_manager)
        if any(patch.foreground for patch in patches):
            break
    return max(patches, key=lambda patch: patch.foreground)


def patches_of(batch: dict[str, Any], label_manager: Any) -> list[Patch]:
    """The patches of a batch as nnU-Net's loader makes it: deep supervision or not, labels or regions, ignore label."""
    target = batch["target"]
    whole = (target[0] if isinstance(target, list) else target).cpu().numpy()  # (B, 1 or regions [+ ignored], ...)
    ignored = np.zeros(whole[:, 0].shape, bool)
    if label_manager.has_regions:
        count = len(label_manager.foreground_regions)
        masks = whole[:, :count] > 0
        if label_manager.has_ignore_label:
            ignored = whole[:, count] > 0
    else:
        labels = np.array(label_manager.foreground_labels)
        masks = np.stack([whole[:, 0] == label for label in labels], 1)
        if label_manager.has_ignore_label:
            ignored = whole[:, 0] == label_manager.ignore_label
    data = batch["data"].cpu()
    names = [str(name) for name in batch["keys"]]
    return [Patch(names[i], data[i : i + 1], masks[i] & ~ignored[i], ~ignored[i]) for i in range(len(whole))]


def predict(trainer: "MedMambaTrainer", patch: Patch) -> NDArray[np.bool_]:
    """What the network finds in a patch: (K, ...), one mask per label or region."""
    output = trainer.module()(patch.data.to(trainer.device))
    whole = (output[0] if isinstance(output, list | tuple) else output)[0].float()
    manager = trainer.label_manager
    if manager.has_regions:
        return (whole.sigmoid() > 0.5).cpu().numpy()
    labels = whole.argmax(0).cpu().numpy()
    return np.stack([labels == label for label in manager.foreground_labels])


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_], counted: NDArray[np.bool_]) -> float | None:
    """Dice where the truth is known; None where neither has anything."""
    found = found & counted
    both = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / both if both else None


def sheet(trainer: "MedMambaTrainer", patch: Patch, found: NDArray[np.bool_], when: str) -> Sheet:
    """The cut of a patch that shows most, turned as doctors are used to."""
    spacing = [float(step) for step in trainer.configuration_manager.spacing]
    volume, letters = patch.truth.ndim == 4, _letters(trainer, patch)
    across = _across(letters, spacing) if volume else 0
    place = patch.cut(across) if volume else 0

    def cut(array: NDArray[Any]) -> NDArray[Any]:
        """(..., Z, Y, X) or (..., Y, X) as it is shown."""
        flat = array.take(place, array.ndim - 3 + across) if volume else array
        return np.moveaxis(shown.turn(np.moveaxis(flat, (-2, -1), (0, 1))), (0, 1), (-2, -1))

    shown = view(letters, across)
    masks = np.stack([cut(patch.truth), cut(found)])
    data = cut(patch.data[0].float().numpy())
    window = _window(data, masks.any((0, 1)))
    image, channel = _image(data[window], masks[0][window], _channels(trainer))
    rows, columns = [step for axis, step in enumerate(spacing) if not volume or axis != across]
    scores = [dice(p, t, patch.counted) for p, t in zip(found, patch.truth, strict=True)]
    scored = [score for score in scores if score is not None]
    mean = f"Dice in this patch {np.mean(scored):.3f}" if scored else "nothing to find"
    plane = "frame" if spacing[across] == STACK else shown.plane
    where = f", {plane} {place + 1} of {patch.truth.shape[1 + across]}" if volume else ""
    return Sheet(
        image=image,
        truth=masks[0][window],
        found=masks[1][window],
        counted=cut(patch.counted)[window],
        names=foreground_names(trainer.label_manager),
        dice=scores,
        title=f"{when}: {mean}\n{patch.case}{where}",
        channel=channel,
        view=shown,
        aspect=columns / rows if shown.transposed else rows / columns,
    )


def _window(data: NDArray[Any], marked: Any) -> tuple[Any, ...]:
    """The part of (C, Y, X) without the edges on which there is nothing: padding of small images, empty background."""
    filled = marked | (data != data[:, :1, :1]).any(0)
    if not filled.any():
        return (...,)
    rows, columns = (np.flatnonzero(filled.any(axis)) for axis in (1, 0))
    return (..., slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))


def _letters(trainer: "MedMambaTrainer", patch: Patch) -> tuple[str, ...] | None:
    """To which sides of the body the patch's axes go; for a 2-D patch the first letter is that of the axis it cuts."""
    file = Path(str(trainer.preprocessed_dataset_folder)) / f"{patch.case}.pkl"
    return axes(pickle.loads(file.read_bytes()), trainer.plans_manager.transpose_forward) if file.is_file() else None


def _across(letters: Sequence[str] | None, spacing: Sequence[float]) -> int:
    """The axis to cut: the one with thick slices, else the one from feet to head, else the first."""
    if letters is None or max(spacing) > _THICK * min(spacing):
        return int(np.argmax(spacing))
    return next(axis for axis, letter in enumerate(letters) if letter in "IS")


def _channels(trainer: "MedMambaTrainer") -> list[str]:
    """The names of the image channels; what a cascade adds has none."""
    names = trainer.dataset_json.get("channel_names") or trainer.dataset_json.get("modality") or {}
    return [str(name) for _, name in sorted(names.items(), key=lambda item: int(item[0]))]


def _image(channels: NDArray[Any], truth: NDArray[np.bool_], names: Sequence[str]) -> tuple[NDArray[Any], str]:
    """What to show of (C, Y, X), and its name: colours together, else the channel where the truth stands out most."""
    if len(names) == 3 and (len({*names}) == 1 or [name[:1].lower() for name in names] == ["r", "g", "b"]):
        return np.moveaxis(channels[:3], 0, -1), "image"
    inside, nothing = truth.any(0), (channels == 0).all(0)  # nnU-Net pads, and blanks what it masks, with 0
    count = min(len(channels), len(names)) or 1
    best = 0
    if count > 1 and inside.any() and not inside.all():
        contrast = [abs(one[inside].mean() - one[~inside].mean()) / (one.std() + 1e-6) for one in channels[:count]]
        best = int(np.argmax(contrast))
    return np.where(nothing, np.nan, channels[best]), names[best] if names else "image"
