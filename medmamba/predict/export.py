"""From logits to a label map on the image's own grid, in the order in which the window gives rows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .preprocess import Place, network_spacing
from .recipe import Recipe, Resampling
from .resample import resample


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
    """The label map (z, y, x) of the image as read, in `recipe.label_dtype`."""
    logits = torch.cat([slab.logits.cpu().clone() for slab in slabs], 1)
    own, target = network_spacing(place.spacing, recipe)
    how = recipe.resample_logits
    if isinstance(how, Resampling):
        whole = torch.from_numpy(resample(logits.numpy(), place.shape_after_cropping, target, own, how))
    else:
        whole = torch.as_tensor(how(logits, place.shape_after_cropping, target, own))
    if recipe.regions_class_order is None:
        labels = whole.argmax(0).numpy()
    else:
        labels = np.zeros(whole.shape[1:], np.int64)
        for value, channel in zip(recipe.regions_class_order, whole.float().sigmoid(), strict=True):
            labels[channel.numpy() > 0.5] = value
    out = np.zeros(place.shape_before_cropping, recipe.label_dtype)
    out[tuple(slice(*bounds) for bounds in place.bbox)] = labels
    return out.transpose(recipe.transpose_backward)


def export_bytes(place: Place, recipe: Recipe) -> int:
    """Bytes that `label_map` takes at its peak beyond the slabs it is given, the label map itself included."""
    return 2 * recipe.heads * math.prod(place.shape_after_cropping)
