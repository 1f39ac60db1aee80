"""What one case takes in memory, from its header and the model alone, and what to do so that it stays within a ceiling.

Only arrays count whose size follows from the image, the model and nnU-Net's mathematics. What the process holds once
the model is loaded (Python, torch, the weights) is measured.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Protocol

from .. import runtime
from ..errors import SetupError
from .arrays.export import export_bytes
from .arrays.preprocess import Place, network_spacing, preprocess_bytes
from .arrays.resample import new_shape
from .arrays.tiles import Grid
from .expected import PLANS, Estimate, Plan
from .network_sizes import Known, Rough, Sizes
from .recipe import Recipe
from .sizes import in_words, parse_size, resident_memory

__all__ = ["PLANS", "Estimate", "Known", "Plan", "Rough", "Sizes", "estimate", "parse_size", "require"]

_SUM, _FLOAT = 2, 4
"""Bytes of a sum of logits, and of a voxel of an image or of the network's output."""
_SPARE = 0.03
"""Share of a ceiling that is left free, for what allocators and libraries take that nobody counts."""


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
    for plan in PLANS:
        if estimate.peak(plan) <= ceiling * (1 - _SPARE):
            return plan
    least = estimate.peak(PLANS[-1])
    biggest = ", ".join(list(estimate.lines())[:4])
    raise SetupError(
        f"{case} takes at least {in_words(least)} of memory and {limit} is {in_words(int(ceiling))} ({biggest}).",
        f"Give --max-ram {least / (1 - _SPARE) / 2**30 + 0.05:.1f}G on a machine that has it, or crop the image.",
    )


def is_easy(rough: Estimate) -> bool:
    """Whether half of what is free is enough for a case by a generous estimate, so that no better one is needed."""
    return 2 * rough.peak(PLANS[0]) <= _ceiling(None)


def fits_gpu(estimate: Estimate, free: int) -> tuple[bool, bool]:
    """Whether (the sums, the image) fit on a GPU with `free` bytes besides the network."""
    left = int(free * (1 - _SPARE)) - estimate.weights - estimate.activations
    sums = estimate.row * estimate.ring + estimate.tile * (1 + estimate.folds)
    return sums <= left, estimate.data + (sums if sums <= left else 0) <= left


def in_two_stages(later: Estimate, earlier: Estimate) -> Estimate:
    """Of a cascade: the image is held while the earlier stage runs, and its label map while the later one does."""
    larger = max(later, earlier, key=lambda one: one.peak(PLANS[1]))
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
