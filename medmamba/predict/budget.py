"""What one case takes in memory, from its header and the model alone, and what to do so that it stays within a ceiling.

Only arrays count whose size follows from the image, the model and nnU-Net's mathematics. What the process holds once
the model is loaded (Python, torch, the weights) is measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol

from .. import runtime
from ..errors import SetupError
from .arrays.export import export_bytes
from .arrays.preprocess import Place, network_spacing, preprocess_bytes
from .arrays.resample import new_shape
from .arrays.tiles import Grid
from .recipe import LoadedModel, Recipe
from .sizes import in_words, parse_size, resident_memory

__all__ = ["Estimate", "Plan", "estimate", "parse_size", "require"]

_ROWS, _FEW_ROWS = 32, 4
"""Of logits that are handed on at a time."""
_SUM, _FLOAT = 2, 4
"""Bytes of a sum of logits, and of a voxel of an image or of the network's output."""
_MAPS = 400
_SPARE = 0.03
"""Share of a ceiling that is left free, for what allocators and libraries take that nobody counts."""


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


class ImageSize(Protocol):
    """What a header tells: see `headers.Header`."""

    @property
    def shape(self) -> Sequence[int]:
        """(z, y, x) as read."""
        ...

    @property
    def spacing(self) -> Sequence[float]:
        """mm, in the same order."""
        ...


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


_PLANS = (
    Plan(),
    Plan(overlap=False),
    Plan(overlap=False, keep_uniform=False, rows=_FEW_ROWS),
    Plan(overlap=False, keep_uniform=False, rows=_FEW_ROWS, sums_on_disk=True),
    Plan(overlap=False, keep_uniform=False, rows=_FEW_ROWS, sums_on_disk=True, data_on_disk=True),
)


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
        return self.peak(_PLANS[1])

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


def estimate(
    header: ImageSize,
    recipe: Recipe,
    runner: Sizes,
    step_size: float = 0.5,
    base: int | None = None,
    probabilities: bool = False,
) -> Estimate:
    """What a case of this header takes with this model.

    Parameters
    ----------
    base: bytes that the process holds with the model loaded; None: what it holds now.
    probabilities: they are written too.
    """
    place = whole_place(header, recipe)
    inputs = len(recipe.channels) + (0 if recipe.previous_stage is None else len(recipe.foreground))
    depth, height, width = place.network_shape
    grid = Grid((depth, height, width), recipe.patch_size, step_size)
    voxels, seen = prod(place.shape), prod(place.network_shape)
    label = recipe.label_dtype().itemsize
    return Estimate(
        base=resident_memory() if base is None else base,
        input=_FLOAT * voxels * len(recipe.channels),
        preprocessing=preprocess_bytes(place.shape, place.network_shape, inputs, recipe),
        data=_FLOAT * seen * inputs,
        weights=runner.weight_bytes(),
        activations=runner.activation_bytes(),
        tile=_FLOAT * recipe.heads * prod(recipe.patch_size),
        row=_SUM * recipe.heads * prod(grid.padded[1:]) * runner.folds,
        ring=grid.rows,
        export=export_bytes(place, recipe, probabilities),
        output=3 * label * voxels,
        folds=runner.folds,
        tiles=grid.tiles * runner.folds,
    )


def whole_place(header: ImageSize, recipe: Recipe) -> Place:
    """Where an image lies of which nothing is cropped away."""
    shape = tuple(header.shape[axis] for axis in recipe.transpose_forward)
    own, target = network_spacing(header.spacing, recipe)
    return Place(
        spacing=tuple(header.spacing),
        shape=tuple(header.shape),
        shape_before_cropping=shape,
        bbox=tuple((0, length) for length in shape),
        shape_after_cropping=shape,
        network_shape=new_shape(shape, own, target),
    )


def require(estimate: Estimate, max_ram: int | None, case: str, limit: str = "--max-ram") -> Plan:
    """The fastest plan that stays below `max_ram` bytes; without it, below what the machine has to give.

    Raises SetupError when none does.
    """
    ceiling = _ceiling(max_ram)
    limit = limit if max_ram is not None else "what is free here"
    for plan in _PLANS:
        if estimate.peak(plan) <= ceiling * (1 - _SPARE):
            return plan
    least = estimate.peak(_PLANS[-1])
    biggest = ", ".join(list(estimate.lines())[:4])
    raise SetupError(
        f"{case} takes at least {in_words(least)} of memory and {limit} is {in_words(int(ceiling))} ({biggest}).",
        f"Give --max-ram {least / (1 - _SPARE) / 2**30 + 0.05:.1f}G on a machine that has it, or crop the image.",
    )


def is_easy(rough: Estimate) -> bool:
    """Whether half of what is free is enough for a case by a generous estimate, so that no better one is needed."""
    return 2 * rough.peak(_PLANS[0]) <= _ceiling(None)


def fits_gpu(estimate: Estimate, free: int) -> tuple[bool, bool]:
    """Whether (the sums, the image) fit on a GPU with `free` bytes besides the network."""
    left = int(free * (1 - _SPARE)) - estimate.weights - estimate.activations
    sums = estimate.row * estimate.ring + estimate.tile * (1 + estimate.folds)
    return sums <= left, estimate.data + (sums if sums <= left else 0) <= left


def in_two_stages(later: Estimate, earlier: Estimate) -> Estimate:
    """Of a cascade: the image is held while the earlier stage runs, and its label map while the later one does."""
    larger = max(later, earlier, key=lambda one: one.peak(_PLANS[1]))
    return replace(larger, base=later.base + later.input + later.output, tiles=later.tiles + earlier.tiles)


def may_prepare(in_hand: Sequence[tuple[Estimate, Plan, bool]], following: Estimate, max_ram: int | None) -> bool:
    """Whether there is room to prepare one more case beside those in hand: (estimate, plan, whether it is prepared).

    One of them may be in the network at any time; which one is not asked.
    """
    if not in_hand:
        return True
    running = max(estimate.running(plan) for estimate, plan, _ in in_hand)
    waiting = sum(
        (0 if plan.data_on_disk else estimate.data) if ready else estimate.preparing(plan)
        for estimate, plan, ready in in_hand
    )
    return running + waiting + following.preparing() <= _ceiling(max_ram) * (1 - _SPARE)


def _ceiling(max_ram: int | None) -> float:
    free = runtime.free_memory() if max_ram is None else None
    return max_ram or (float("inf") if free is None else free + resident_memory())
