"""What the engine's tests share."""

import pytest
import torch
from torch import nn

from medmamba.kernels import library


@pytest.fixture
def no_library(monkeypatch):
    """As on a machine without a compiler."""
    monkeypatch.setattr(library, "load", lambda: None)
    monkeypatch.setattr(library, "why_not", lambda: "not built")


def lively(network: nn.Module) -> nn.Module:
    """The network with norms and biases that do something."""
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        if parameter.dim() == 1 and "dt_proj" not in name:
            nn.init.normal_(parameter, float(name.endswith("weight")), 0.2)
    return network.eval()


def relative(result: torch.Tensor, expected: torch.Tensor) -> float:
    """||result - expected|| / ||expected||."""
    return float((result - expected).detach().norm() / expected.detach().norm())
