"""From logits to a label map on the image's own grid, in the order in which the window gives rows.

Equal to nnU-Net's `convert_predicted_logits_to_segmentation_with_correct_shape`. There every class is resampled into
one array of all classes and voxels; here a block of the image at a time, and in it only the classes that can win.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..files.probabilities import npz
from ..recipe import Recipe, Resampling
from .axes import Axis, Run
from .linear import Taps, taps
from .preprocess import Place, network_spacing
from .resample import axes_of, resample, resample_bytes, separate_axis, stays_between
from .scratch import empty, let_go
from .winners import CHANNELS, Block, greatest, painted
from .winners import probabilities as probabilities_of

_ROWS = 16  # of the result at a time
_TILE = {"cpu": 48, "cuda": 256}  # voxels of the result along the other two axes: small finds fewer classes in a block


@dataclass(frozen=True)
class Slab:
    """Logits of some rows that no later tile changes."""

    start: int
    stop: int
    """Half-open range of rows of axis 0 of the network's grid."""
    logits: Tensor
    """(heads, stop - start, *rest), float16: the mean over the folds. Any device. Not kept beyond the next slab."""


def label_map(
    slabs: Iterable[Slab],
    recipe: Recipe,
    place: Place,
    probabilities: Path | None = None,
    scratch: Path | None = None,
    rows: int | None = None,
) -> NDArray[Any]:
    """The label map (z, y, x) of the image as read, in `recipe.label_dtype`.

    Parameters
    ----------
    slabs: of the whole network grid, rows ascending without a gap.
    recipe: of the model.
    place: where the network's grid lies in the image.
    probabilities: file to write nnU-Net's probabilities to (.npz): float32 (heads, z, y, x).
    scratch: folder for what does not stay in memory: probabilities until they are compressed, and logits where the
        way of resampling needs all of them at once. None: beside `probabilities`, and memory.
    rows: of the result at a time, 16 when None.
    """
    own, target = network_spacing(place.spacing, recipe)
    how, shape = recipe.resample_logits, place.shape_after_cropping
    alone = None
    if isinstance(how, Resampling) and (place.network_shape == shape or stays_between(target, own, how)):
        alone = separate_axis(target, own, how)
        axes = axes_of(place.network_shape, shape, target, own, how)
    else:
        slabs = [_resampled_whole(slabs, recipe, place, scratch)]
        axes = axes_of(shape, shape, own, own, Resampling())
    with ExitStack() as stack:
        pages = (
            stack.enter_context(npz(probabilities, (recipe.heads, *place.shape), scratch)) if probabilities else None
        )
        canvas = Canvas(recipe, place, pages, axes, alone)
        for run, logits in _rows(slabs, axes[0], rows or _ROWS):
            canvas.paint(run, logits)
    return canvas.labels


class Canvas:
    """The label map of the image, and its probabilities where they are wanted, painted block by block."""

    def __init__(
        self, recipe: Recipe, place: Place, pages: NDArray[np.float32] | None, axes: Sequence[Axis], alone: int | None
    ) -> None:
        self.tiles: list[list[Taps]] = []  # along the two axes of a row
        self.regions, self.pages, self.axes, self.alone = recipe.regions_class_order, pages, axes, alone
        self.labels = np.zeros(place.shape, recipe.label_dtype)
        box = tuple(slice(*bounds) for bounds in place.bbox)
        self.inside = self.labels.transpose(recipe.transpose_forward)[box]
        if pages is not None:
            if not recipe.has_regions:
                for plane in pages[0]:
                    plane[...] = 1  # background, outside of the crop
                    let_go(pages)
            forward = (0, *(axis + 1 for axis in recipe.transpose_forward))
            self.shares = pages.transpose(forward)[(slice(None), *box)]

    def paint(self, rows: Run, logits: Tensor) -> None:
        """Paint the rows `rows` of the crop from `logits` (heads, rows.last - rows.first, y, x)."""
        if not self.tiles:
            size = _TILE["cpu" if logits.device.type == "cpu" else "cuda"]
            self.tiles = [[taps(axis, run, logits.device) for run in axis.runs(size)] for axis in self.axes[1:]]
        z = taps(self.axes[0], rows, logits.device)
        for y, x in product(*self.tiles):
            block = Block(logits[:, :, y.first : y.last, x.first : x.last], (z, y, x), self.alone)
            where = slice(z.start, z.stop), slice(y.start, y.stop), slice(x.start, x.stop)
            labels: Tensor | int
            if self.pages is not None:
                labels, shares = probabilities_of(block, self.regions)
                self.shares[(slice(None), *where)] = shares.cpu().numpy()
            else:
                labels = greatest(block) if self.regions is None else painted(block, self.regions)
            self.inside[where] = labels if isinstance(labels, int) else labels.cpu().numpy()
            if self.pages is not None:
                let_go(self.pages)


def _rows(slabs: Iterable[Slab], axis: Axis, size: int) -> Iterator[tuple[Run, Tensor]]:
    """Runs of up to `size` rows of the result, each with the logits (heads, n, y, x) that it follows from."""
    held: Tensor | None = None  # what later rows need of slabs that are gone
    start = given = 0
    for slab in slabs:
        ready = axis.ready(slab.stop)
        while given < ready:
            run = axis.run(given, min(given + size, ready))
            yield run, _between(held, start, slab, run.first, run.last)
            given = run.stop
        first = min(int(axis.first[given]), slab.stop) if given < len(axis.first) else slab.stop
        held, start = _between(held, start, slab, first, slab.stop).clone(), first


def _between(held: Tensor | None, start: int, slab: Slab, first: int, last: int) -> Tensor:
    """Rows first..last-1 of what is held (from row `start` on) and the slab behind it."""
    new = slab.logits[:, max(first - slab.start, 0) : last - slab.start]
    if held is None or first >= slab.start:
        return new
    old = held[:, first - start : last - start].to(new.device)
    return torch.cat((old, new), 1) if last > slab.start else old


def _resampled_whole(slabs: Iterable[Slab], recipe: Recipe, place: Place, scratch: Path | None) -> Slab:
    """All logits resampled at once, for ways of resampling that need them so."""
    own, target = network_spacing(place.spacing, recipe)
    how, shape = recipe.resample_logits, place.shape_after_cropping
    logits = empty((recipe.heads, *place.network_shape), np.float16, scratch)
    for slab in slabs:
        logits[:, slab.start : slab.stop] = slab.logits.cpu().numpy()
        let_go(logits)
    if isinstance(how, Resampling):
        out = empty((recipe.heads, *shape), np.float16, scratch)
        return Slab(0, shape[0], torch.from_numpy(resample(logits, shape, target, own, how, out)))
    return Slab(0, shape[0], torch.as_tensor(how(torch.from_numpy(logits), shape, target, own)))


def export_bytes(place: Place, recipe: Recipe, probabilities: bool = False, scratch: bool = False) -> int:
    """Bytes that `label_map` takes at its peak beyond the slab it is given, the label map included; rather too many.

    Parameters
    ----------
    place: where the network's grid lies in the image.
    recipe: of the model.
    probabilities: they are written too.
    scratch: `label_map` is given a folder for what may lie in files.
    """
    own, target = network_spacing(place.spacing, recipe)
    labels = math.prod(place.shape) * np.dtype(recipe.label_dtype).itemsize
    how, shape = recipe.resample_logits, place.shape_after_cropping
    at_once = recipe.heads if probabilities else min(recipe.heads, CHANNELS)  # whose logits are resampled at a time
    tile = _ROWS * _TILE["cpu"] ** 2 * 8 * 8 * at_once
    pages = 2 * tile if probabilities else 0
    if isinstance(how, Resampling) and (place.network_shape == shape or stays_between(target, own, how)):
        needed = _ROWS * max(place.network_shape[0] / shape[0], 1 / _ROWS) + 4
        return int(labels + tile + pages + 2 * recipe.heads * needed * math.prod(place.network_shape[1:]))
    whole = recipe.heads * (math.prod(place.network_shape) + math.prod(shape))
    if not isinstance(how, Resampling):
        return labels + tile + pages + 8 * whole
    work = resample_bytes(place.network_shape, shape, how)
    return labels + tile + pages + work + (0 if scratch else 2 * whole)
