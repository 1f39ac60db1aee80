"""What happens when numbers are no longer finite."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from medmamba.errors import DataError, MedMambaError
from medmamba.nnunet.loop import sentinel
from medmamba.nnunet.loop.trainer import MedMambaTrainer
from medmamba.nnunet.training import train
from tests.nnunet.small_runs import PLAIN, Reports, options


class Faulty(nn.Module):
    """Logarithm of what may be zero, after a layer that is in order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu().log()


def step(network: nn.Module, data: torch.Tensor) -> Any:
    return lambda: network(data).sum().backward()


def test_the_first_layer_is_named() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), Faulty()), nn.Linear(2, 1))
    nn.init.constant_(network[0].bias, -100.0)
    found = sentinel.first_bad_layer(network, step(network, torch.ones(1, 2)))
    assert found == "the output of layer 1.1 (Faulty) is not finite"


def test_a_gradient_that_breaks_on_the_way_back() -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 0).sqrt()  # its derivative at 0 is infinite, times 0 it is not a number

    network = nn.Sequential(nn.Linear(2, 2), Root(), nn.Linear(2, 1))
    found = sentinel.first_bad_layer(network, step(network, torch.ones(1, 2)))
    assert found == "the gradient of layer 0 (Linear) is not finite"


def test_weights_that_are_lost_already() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    nn.init.constant_(network[1].weight, float("nan"))
    assert sentinel.first_bad_layer(network, lambda: None) == "the weights 1.weight are not finite"


def test_no_hook_stays() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    sentinel.first_bad_layer(network, step(network, torch.ones(1, 2)))
    assert not network[0]._forward_hooks


def test_a_batch_that_is_broken_itself() -> None:
    images = torch.zeros(2, 1, 4)
    images[1, 0, 2] = float("nan")
    with pytest.raises(DataError, match="case b holds NaN"):
        sentinel.check_batch({"keys": ["a", "b"], "data": images})


def poison(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the loss be NaN in the second step of the second epoch, `times` times."""
    original = MedMambaTrainer._forward_and_backward
    left = [2 * times]  # the sentinel takes the step once more to find the layer

    def poisoned(self: MedMambaTrainer, batch: dict[str, Any]) -> torch.Tensor:
        loss = original(self, batch)
        if (self.current_epoch, self.progress.steps) == (1, 1) and left[0]:
            left[0] -= 1
            for value in self.network.parameters():
                if value.grad is not None:
                    value.grad.mul_(float("nan"))
        return loss

    monkeypatch.setattr(MedMambaTrainer, "_forward_and_backward", poisoned)


def test_a_run_goes_back_lowers_the_rate_and_goes_on(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, 1)
    told = Reports()
    train(PLAIN, options(fold=2, epochs=3), [told])
    (message,) = told.messages[-1:]
    assert "Not finite in epoch 2, step 2: the gradient of layer" in message
    assert "with 0.3 times the learning rate" in message
    rates = [report.learning_rate for report in told.epochs]
    assert len(rates) == 3
    assert told.epochs[1].events == (message,)
    assert rates[1] == pytest.approx(0.3 * 2e-3)


def test_fewer_digits_are_given_up_first(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, 1)
    told = Reports()
    train(PLAIN, options(fold=2, epochs=3, precision="bf16"), [told])
    assert "in fp32" in told.messages[-1]
    assert [report.precision[:4] for report in told.epochs] == ["bf16", "fp32", "fp32"]
    assert told.epochs[1].learning_rate == pytest.approx(2e-3)


def test_the_third_time_ends_the_run_and_leaves_the_checkpoint(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, 9)
    told = Reports()
    with pytest.raises(MedMambaError, match=r"diverged for the third time \(epoch 2, step 2\).*0.09 times") as caught:
        train(PLAIN, options(fold=2, epochs=3), [told])
    assert len(told.messages) >= 2
    assert "lower learning rate" in caught.value.remedy
