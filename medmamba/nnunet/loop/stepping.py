"""One step of training: in parts where memory is short, taken back where its numbers are not finite."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from ...engine import precision
from ...errors import MedMambaError
from . import sentinel
from .resumable import ResumableTrainer
from .stream import Phase, random_words

_GRADIENT_NORM = 12
"""To which nnU-Net clips the gradient."""
_LEAST_SCALE = 1.0
"""A float16 loss scaler that had to go below this has a gradient that no scale makes finite."""


class SteppingTrainer(ResumableTrainer):
    """Takes the steps of a run. `accumulate`: parts in which a batch goes through the network."""

    accumulate = 1

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One step of the optimiser. NotFiniteError when its gradient is not finite: the weights are as before then."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._forward_and_backward(batch)
        if self.grad_scaler is not None:
            self.grad_scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_NORM)
        self._check(batch, loss, norm)
        if self.grad_scaler is not None:
            self.grad_scaler.step(self.optimizer)
            self.grad_scaler.update()
        else:
            self.optimizer.step()
        return {"loss": loss.cpu().numpy()}

    def _forward_and_backward(self, batch: dict[str, Any]) -> torch.Tensor:
        """The loss of the whole batch, which goes through the network in `accumulate` parts; gradients add up."""
        parts = _parts(batch["data"], batch["target"], self.accumulate)
        # DDP takes the mean over processes, which need not have equally many samples
        whole = self.share.whole / self.world
        total = torch.zeros((), device=self.device)
        for last, (data, target) in zip([False] * (len(parts) - 1) + [True], parts, strict=True):
            data, target = self._moved(data), self._moved(target)
            silent = nullcontext() if last or not self.is_ddp else self.network.no_sync()
            with silent:
                loss = self.loss_of(data, target) * (len(data) / whole)
                (loss if self.grad_scaler is None else self.grad_scaler.scale(loss)).backward()
            total += loss.detach()
        return total * (whole / self.share.size)

    def loss_of(self, data: torch.Tensor, target: Any) -> torch.Tensor:
        """What the network is to make small for a part of a batch."""
        loss: torch.Tensor = self.loss(self.network(data), target)
        return loss

    def _moved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._moved(one) for one in value]
        return value.to(self.device, non_blocking=True)

    def _check(self, batch: dict[str, Any], loss: torch.Tensor, norm: torch.Tensor) -> None:
        if norm.isfinite():
            return
        if self.grad_scaler is not None:  # it leaves such a step out and tries a smaller scale, as long as that helps
            lost = not bool(loss.isfinite()) or self.grad_scaler.get_scale() < _LEAST_SCALE
            if not self.any_of_all(lost):
                return
        sentinel.check_batch(batch)
        place = (self.current_epoch, self.progress.steps)
        torch.manual_seed(random_words(self.progress.seed, Phase.STEP, *place, self.rank)[0])
        raise sentinel.NotFiniteError(
            sentinel.first_bad_layer(self.module(), lambda: self._forward_and_backward(batch))
        )

    def step_back(self, where: str) -> None:
        """Go back to the last good state with smaller steps, or more digits; give up at the third time."""
        progress = self.progress
        strikes, factor, taken = progress.strikes + 1, progress.rate_factor, self.precision
        place = f"epoch {self.current_epoch + 1}, step {progress.steps + 1}"
        if strikes >= sentinel.PATIENCE:
            raise MedMambaError(
                f"Training in {self.output_folder} diverged for the third time ({place}): "
                f"{where}, in {taken}, at {factor:.2g} times the recipe's learning rate.",
                "Try --precision fp32 or a lower learning rate; the checkpoints there are good.",
            )
        self.restore()
        progress = self.progress
        progress.strikes, progress.quiet_epochs = strikes, 0
        if taken.dtype is None:
            progress.rate_factor = factor * sentinel.MILDER
            remedy = f"with {progress.rate_factor:.2g} times the learning rate"
        else:
            progress.rate_factor = factor
            self.use_precision(precision.Precision(None, f"{taken} did not stay finite"))
            remedy = "in fp32"
        self.say(f"Not finite in {place}: {where}. Going on from the last checkpoint {remedy}.")


def _parts(data: torch.Tensor, target: Any, count: int) -> list[tuple[torch.Tensor, Any]]:
    """A batch in at most `count` parts of about equal size."""
    count = min(count, len(data))
    pieces = torch.tensor_split(data, count)
    if not isinstance(target, list):
        return list(zip(pieces, torch.tensor_split(target, count), strict=True))
    split = [torch.tensor_split(one, count) for one in target]
    return [(piece, [one[part] for one in split]) for part, piece in enumerate(pieces)]
