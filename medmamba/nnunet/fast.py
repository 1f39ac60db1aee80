"""The CPU engine in the place where nnU-Net's predictor expects a network."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..engine import accelerate, describe


class EngineNetwork(nn.Module):
    """Takes a fold's weights as a network does and runs them in their fast form, which is built once a fold.

    nnU-Net's predictor loads the weights of each fold again for every case; the same weights find their engine again.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype
        self._engines: dict[int, nn.Module] = {}
        self._weights: list[Mapping[str, Any]] = []  # kept, so that no other weights get the identity of these
        self._engine: nn.Module | None = None

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Make the engine of these weights the one that runs."""
        key = id(state_dict)
        loaded = None
        if key not in self._engines:
            loaded = self.network.load_state_dict(state_dict, strict, assign)
            self._engines[key] = accelerate(self.network, self.dtype)
            self._weights.append(state_dict)
        self._engine = self._engines[key]
        return loaded

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *patch) -> logits (B, classes, *patch), float32."""
        assert self._engine is not None, "load weights first"
        logits: Tensor = self._engine(x)
        return logits

    def __str__(self) -> str:
        return describe(self._engine) if self._engine is not None else "CPU engine without weights"
