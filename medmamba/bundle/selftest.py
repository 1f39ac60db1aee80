"""A bundle's self-test: a small image made from a seed, and what the model made of it where the bundle was written.

A machine that computes something else than the maker's finds out before it sees an image of a patient. Number formats
and processors round differently, so logits are compared within a tolerance; a label map is usually equal.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import BundleError, DataError, MedMambaError
from ..predict.arrays.export import Slab, label_map
from ..predict.arrays.preprocess import preprocess
from ..predict.arrays.window import slabs
from ..predict.recipe import LoadedModel, Recipe
from ..predict.runner import Runner
from .layout import refused

_BLOCK, _SEED, _SAMPLES, _SLICES = 8, 20240504, 64, 2
_SLICE_DISTANCE = 5.0
_LOGITS, _VOXELS = 0.1, 0.02
"""Tolerances: root mean square deviation of logits in their own standard deviations; share of voxels relabelled."""


@dataclass(frozen=True)
class Outcome:
    """What a self-test came to."""

    identical: bool
    """Whether the label map is the same voxel by voxel."""
    logits: float
    """Root mean square deviation, in standard deviations of the expected logits."""
    voxels: float
    """Share of voxels that went to other labels, at least."""

    def __str__(self) -> str:
        """In words."""
        same = "the same label map" if self.identical else f"label counts off by {self.voxels:.2%}"
        return f"{same}, logits off by {self.logits:.2g} standard deviations (at most {_LOGITS} are taken)"


def synthetic(recipe: Recipe, seed: int = _SEED) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """An image (C, z, y, x) of grey blocks as large as one patch, and its spacing: whole numbers, alike everywhere."""
    flat = len(recipe.patch_size) == 2
    size = (_SLICES, *recipe.patch_size) if flat else recipe.patch_size
    steps = (_SLICE_DISTANCE, *recipe.spacing) if flat else recipe.spacing
    order = np.argsort(recipe.transpose_forward)  # from the network's axes to those of a file
    shape, spacing = [size[axis] for axis in order], tuple(float(steps[axis]) for axis in order)
    coarse = [-(-voxels // _BLOCK) for voxels in shape]
    image = np.random.default_rng(seed).integers(1, 256, (len(recipe.channels), *coarse))
    for axis in (1, 2, 3):
        image = image.repeat(_BLOCK, axis)
    return np.ascontiguousarray(image[:, : shape[0], : shape[1], : shape[2]], np.float32), spacing


def record(model: LoadedModel) -> dict[str, Any]:
    """The content of expected.json: computed in float32 by plain torch on the CPU.

    Raises DataError for a model that makes nothing of the image.
    """
    try:
        samples, deviation, labels = _run(model, torch.device("cpu"), "fp32", False, _SEED)
    except MedMambaError as error:
        raise DataError(
            f"The model cannot segment the image of the self-test: {error.problem}",
            "Mend that, or leave it out with --no-self-test.",
        ) from error
    image, _ = synthetic(model.recipe)
    return {
        "seed": _SEED,
        "image": hashlib.sha256(image.tobytes()).hexdigest(),
        "labels": _checksum(labels),
        "voxels": _counts(labels),
        "logits": [[round(float(value), 4) for value in head] for head in samples],
        "deviation": [round(float(value), 4) for value in deviation],
    }


def compare(
    model: LoadedModel, expected: Mapping[str, Any], device: torch.device, precision: str = "auto", engine: bool = True
) -> Outcome:
    """Run the self-test as predictions are run on this machine.

    Raises BundleError when expected.json is none, or when the result is another than the maker's.
    """
    try:
        seed, wanted = int(expected["seed"]), np.array(expected["logits"], np.float64)
        deviation = np.array(expected["deviation"], np.float64)
        counts = {int(value): int(count) for value, count in expected["voxels"].items()}
        checksums = str(expected["image"]), str(expected["labels"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise refused("has an expected.json that is no self-test") from error
    heads = model.recipe.heads
    if wanted.shape != (heads, _SAMPLES) or deviation.shape != (heads,) or not 0 <= seed < 1 << 32:
        raise refused(f"has an expected.json of another model: it is not of {heads} outputs")
    image, _ = synthetic(model.recipe, seed)
    if hashlib.sha256(image.tobytes()).hexdigest() != checksums[0]:
        raise BundleError("The self-test's image is another here than where the bundle was made.", "Update numpy.")
    samples, _, labels = _run(model, device, precision, engine, seed)
    found = _counts(labels)
    moved = sum(abs(found.get(str(value), 0) - counts.get(value, 0)) for value in {*map(int, found), *counts}) / 2
    off = (samples - wanted) / np.maximum(deviation, 1e-3)[:, None]
    outcome = Outcome(_checksum(labels) == checksums[1], float(np.sqrt((off**2).mean())), moved / labels.size)
    if not outcome.logits <= _LOGITS or outcome.voxels > _VOXELS:
        raise BundleError(
            f"The model computes something else here than where the bundle was made: {outcome}.",
            "Do not use it on this machine; try --device cpu and --precision fp32.",
        )
    return outcome


def _run(
    model: LoadedModel, device: torch.device, precision: str, engine: bool, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[Any]]:
    """(sampled logits (heads, _SAMPLES), their standard deviation over the whole image (heads,), label map)."""
    previous = None if model.previous is None else _run(model.previous, device, precision, engine, seed)[2]
    image, spacing = synthetic(model.recipe, seed)
    data, place = preprocess(image, spacing, model.recipe, previous)
    runner = Runner(model, device, precision=precision, engine=engine, mirror=False)
    kept: list[NDArray[np.float32]] = []

    def watched() -> Iterator[Slab]:
        for slab in slabs(data, runner, model.recipe):
            kept.append(slab.logits.detach().float().cpu().numpy().copy())
            yield slab

    labels = label_map(watched(), model.recipe, place)
    logits = np.concatenate(kept, axis=1).reshape(model.recipe.heads, -1).astype(np.float64)
    places = np.random.default_rng(seed + 1).integers(0, logits.shape[1], _SAMPLES)
    return logits[:, places], logits.std(1), labels


def _counts(labels: NDArray[Any]) -> dict[str, int]:
    values, counts = np.unique(labels, return_counts=True)
    return {str(value): int(count) for value, count in zip(values, counts, strict=True)}


def _checksum(labels: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels, "<u2").tobytes()).hexdigest()
