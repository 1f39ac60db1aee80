"""What a case is expected to take in memory, part by part, and the ways in which it can be gone through.

Numbers only: `budget` says where they come from and chooses among the ways.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .sizes import in_words

_ROWS, _FEW_ROWS = 32, 4
"""Of logits that are handed on at a time."""


@dataclass(frozen=True)
class Plan:
    """How a case is gone through."""

    overlap: bool = True
    """Whether the next case is prepared while this one is in the network."""
    keep_uniform: bool = True
    """Whether the network's output for a tile of one value is kept."""
    rows: int = _ROWS
    """Rows of logits that are handed on at a time."""
    sums_on_disk: bool = False
    data_on_disk: bool = False

    def __str__(self) -> str:
        if self.overlap:
            return "everything in memory, the next case prepared meanwhile"
        disk = " and ".join(
            what for what, there in (("sums", self.sums_on_disk), ("images", self.data_on_disk)) if there
        )
        return f"one case at a time{f', {disk} in files on the disk' if disk else ', everything in memory'}"


PLANS = (
    Plan(),
    Plan(overlap=False),
    Plan(overlap=False, keep_uniform=False, rows=_FEW_ROWS),
    Plan(overlap=False, keep_uniform=False, rows=_FEW_ROWS, sums_on_disk=True),
    Plan(overlap=False, keep_uniform=False, rows=_FEW_ROWS, sums_on_disk=True, data_on_disk=True),
)
"""From the fastest to the one that takes least."""


@dataclass(frozen=True)
class Estimate:
    """Bytes that a case takes by part, if nothing of it is cropped, and the tiles that it has."""

    base: int
    """The process with the model loaded."""
    input: int
    """The image as it is read."""
    preprocessing: int
    """Beyond the image, with its result."""
    data: int
    """What the network sees of the image."""
    weights: int
    """Of all folds, as they run."""
    activations: int
    """One call of the network, its output included."""
    tile: int
    """The network's output for one tile."""
    row: int
    """Sums of one row of logits, of all folds."""
    ring: int
    """Rows of logits that are held."""
    export: int
    """Beyond the logits."""
    output: int
    """The label map, and its file in the making."""
    folds: int
    tiles: int
    """That the network is run on, of all folds and without the mirrored copies."""
    on_gpu: bool = False
    """Whether the network lies in a GPU's memory and not in this process's."""

    @property
    def window(self) -> int:
        """All sums and the tile that is being added."""
        return self.row * self.ring + self.tile

    @property
    def total(self) -> int:
        """The peak with everything in memory, one case at a time."""
        return self.peak(PLANS[1])

    def running(self, plan: Plan) -> int:
        """The most that is held while the case is in the network, by that plan."""
        sums = self.row * (plan.rows if plan.sums_on_disk else self.ring)
        kept = self.tile * self.folds if plan.keep_uniform else 0
        data = 0 if plan.data_on_disk else self.data
        weights, activations = (0, self.tile) if self.on_gpu else (self.weights, self.activations)
        network = data + weights + sums + kept + max(activations, self.export)
        return self.base + max(network, weights + self.output)

    def preparing(self, plan: Plan | None = None) -> int:
        """The most that preparing takes, beyond what the process holds."""
        return self.input + self.preprocessing - (self.data if plan is not None and plan.data_on_disk else 0)

    def peak(self, plan: Plan) -> int:
        """The most that is held at any time by that plan; with overlap, before a next case of the same size."""
        if plan.overlap:
            return self.running(plan) + max(self.preparing(), self.data)
        return max(self.running(plan), self.base + self.preparing(plan))

    def lines(self) -> Iterator[str]:
        """The parts in words, largest first."""
        parts = {
            "the process and the model": self.base,
            "the image": self.input,
            "preprocessing": self.preprocessing,
            "the preprocessed image": self.data,
            "the network's weights": self.weights,
            "the network at work": self.activations,
            "sums of logits": self.row * self.ring,
            "export": self.export,
            "the label map": self.output,
        }
        for what, size in sorted(parts.items(), key=lambda part: -part[1]):
            yield f"{what} {in_words(size)}"
