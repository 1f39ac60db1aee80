"""What a network takes in memory: as its runner says, as it said once, or roughly and at once."""

from dataclasses import dataclass
from math import prod
from typing import Protocol

from .recipe import LoadedModel

_FLOAT = 4
_MAPS = 400
"""Maps at full resolution that a U-Net holds at its peak, as float32: more than most do."""


class Sizes(Protocol):
    """What the estimate asks of the network's runner."""

    @property
    def folds(self) -> int:
        """How many sets of weights there are."""
        ...

    def activation_bytes(self) -> int:
        """One call's peak, its output included."""
        ...

    def weight_bytes(self) -> int:
        """All folds' weights in the form in which they run."""
        ...


@dataclass(frozen=True)
class Known:
    """What a runner said once; asking it again is not for several threads."""

    folds: int
    activations: int
    weights: int

    def activation_bytes(self) -> int:
        """One call's peak."""
        return self.activations

    def weight_bytes(self) -> int:
        """All folds' weights."""
        return self.weights


@dataclass(frozen=True)
class Rough:
    """More than most networks take, known at once: telling exactly takes seconds of imports."""

    model: LoadedModel

    @property
    def folds(self) -> int:
        """How many sets of weights there are."""
        return len(self.model.weights)

    def activation_bytes(self) -> int:
        """Maps of a U-Net with its skips at full resolution, and three outputs."""
        recipe = self.model.recipe
        return _FLOAT * prod(recipe.patch_size) * (_MAPS + 3 * recipe.heads)

    def weight_bytes(self) -> int:
        """float32, and once more in a form of their own."""
        return sum(2 * _FLOAT * tensor.numel() for weights in self.model.weights for tensor in weights.values())
