"""What the engine is trusted with, and the look at the others."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medmamba.predict.alike import is_covered, logits_of, runs_alike
from tests.networks.small import SMALL, build, example


@pytest.mark.parametrize("name", SMALL)
def test_our_networks_are_known_and_run_alike(name: str) -> None:
    network = build(name).eval()
    assert is_covered(network)
    assert runs_alike(network, tuple(example(name).shape))
    next(iter(network.children())).register_forward_pre_hook(lambda module, inputs: None)
    assert not is_covered(network)


class Rounded(nn.Module):
    """Runs in another way when its convolution is not torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y if type(self.conv) is nn.Conv3d else y * 1.01


def test_one_percent_is_not_alike() -> None:
    torch.manual_seed(0)
    assert runs_alike(nn.Conv3d(1, 3, 3), (1, 1, 8, 8, 8))
    assert not runs_alike(Rounded(), (1, 1, 8, 8, 8))


@pytest.mark.parametrize("output", [{"logits": torch.ones(1)}, [], None, [{"logits": 1}]])
def test_outputs_without_logits(output: Any) -> None:
    with pytest.raises(ValueError, match="no tensor but"):
        logits_of(output)
