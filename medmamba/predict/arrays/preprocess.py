"""From an image as read to what the network sees: transpose, crop, normalise, resample; and the way back.

Equal to nnU-Net's `DefaultPreprocessor.run_case_npy` without a segmentation, and with one to what its predictor feeds
the second stage of a cascade.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..recipe import Recipe, Resampling, WholeResampler
from .crop import background, bounding_box, nonzero
from .labels import resample_labels
from .resample import new_shape, resample, resample_bytes
from .scratch import empty, let_go


@dataclass(frozen=True)
class Place:
    """Where a preprocessed image lies in the image as read: what puts a label map back."""

    spacing: tuple[float, ...]
    """mm, of the image as read, before the transpose."""
    shape: tuple[int, ...]
    """Of the image as read."""
    shape_before_cropping: tuple[int, ...]
    """Transposed, as everything below."""
    bbox: tuple[tuple[int, int], ...]
    """Half-open range of each axis that is not all zero."""
    shape_after_cropping: tuple[int, ...]
    network_shape: tuple[int, ...]
    """After resampling."""

    def as_properties(self) -> dict[str, Any]:
        """The same under the names that nnU-Net pickles beside probabilities."""
        return {
            "spacing": list(self.spacing),
            "shape_before_cropping": self.shape_before_cropping,
            "bbox_used_for_cropping": [list(bounds) for bounds in self.bbox],
            "shape_after_cropping_and_before_resampling": self.shape_after_cropping,
        }


def network_spacing(spacing: Sequence[float], recipe: Recipe) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Transposed spacing of the image, and of the network's grid: slices of a 2-D network keep their distance."""
    own = tuple(float(spacing[i]) for i in recipe.transpose_forward)
    return own, recipe.spacing if len(recipe.spacing) == len(own) else (own[0], *recipe.spacing)


def preprocess(
    image: NDArray[np.float32],
    spacing: Sequence[float],
    recipe: Recipe,
    previous: NDArray[Any] | None = None,
    scratch: Path | None = None,
) -> tuple[NDArray[np.float32], Place]:
    """What the network sees, (C, *network_shape) float32, and where that lies in the image.

    Parameters
    ----------
    image: (C, z, y, x) as read; overwritten where it is float32 and writable.
    spacing: mm, (z, y, x).
    recipe: of the model.
    previous: label map (z, y, x) of a cascade's earlier stage: its labels follow the image, a channel each.
    scratch: folder for a memory-mapped result; None keeps it in memory. The file has no name: it goes with the array.
    """
    if image.dtype != np.float32 or not image.flags.writeable:
        image = image.astype(np.float32)
    whole = image.transpose(0, *(axis + 1 for axis in recipe.transpose_forward))
    mask = nonzero(whole)
    bbox = bounding_box(mask)
    box = tuple(slice(*bounds) for bounds in bbox)
    data = whole[(slice(None), *box)]
    place = _placed(image.shape[1:], spacing, recipe, bbox)
    outside: NDArray[Any] | None = background(mask[box]) if previous is not None or _needs_mask(recipe) else None
    if previous is not None:  # what the earlier stage labelled counts as inside, as in nnU-Net
        labels = previous.transpose(recipe.transpose_forward)[box].astype(np.int16)
        outside = np.where(labels == 0, np.int16(0) if outside is None else outside, labels)
    del mask
    values = (normalize(data[channel], outside) for channel, normalize in enumerate(recipe.normalizers))
    if previous is None and scratch is None and data.flags.c_contiguous and place.network_shape == data.shape[1:]:
        for channel, value in enumerate(values):
            data[channel] = value
        return data, place
    heads = 0 if previous is None else len(recipe.foreground)
    out = empty((len(data) + heads, *place.network_shape), np.float32, scratch)
    for channel, value in enumerate(values):
        _resampled(value[None], place, recipe, recipe.resample_image, out[channel : channel + 1])
    if outside is not None and heads:
        _one_hot(outside, place, recipe, out[len(data) :])
    return out, place


def _placed(shape: Sequence[int], spacing: Sequence[float], recipe: Recipe, bbox: Sequence[tuple[int, int]]) -> Place:
    """Where the part `bbox` of an image lies. DataError where that is less than a voxel of the network."""
    own, target = network_spacing(spacing, recipe)
    cropped = tuple(high - low for low, high in bbox)
    place = Place(
        spacing=tuple(float(step) for step in spacing),
        shape=tuple(shape),
        shape_before_cropping=tuple(shape[axis] for axis in recipe.transpose_forward),
        bbox=tuple(bbox),
        shape_after_cropping=cropped,
        network_shape=new_shape(cropped, own, target),
    )
    if min(place.network_shape) < 1:
        raise DataError(
            f"The image has {place.shape_after_cropping} voxels of {own} mm: along one axis that is less than half a "
            f"voxel of the network, whose voxels measure {target} mm.",
            "Give an image that covers more.",
        )
    return place


def _needs_mask(recipe: Recipe) -> bool:
    """Whether a channel's normalisation looks at the mask. nnU-Net's own say so; of others it is assumed."""
    return any(getattr(getattr(n, "__self__", n), "use_mask_for_norm", True) for n in recipe.normalizers)


def _resampled(
    data: NDArray[Any], place: Place, recipe: Recipe, how: Resampling | WholeResampler, out: NDArray[np.float32]
) -> None:
    """One channel (1, *cropped) onto the network's grid, written to `out` (1, *network_shape)."""
    own, target = network_spacing(place.spacing, recipe)
    if isinstance(how, Resampling):
        resample(data, place.network_shape, own, target, how, out)
    else:
        out[...] = np.asarray(how(data, place.network_shape, own, target))
        let_go(out)


def _one_hot(labels: NDArray[Any], place: Place, recipe: Recipe, out: NDArray[np.float32]) -> None:
    """The previous stage's labels on the network's grid, a channel for each of `recipe.foreground`."""
    own, target = network_spacing(place.spacing, recipe)
    how = recipe.resample_labels
    if isinstance(how, Resampling):
        labels = resample_labels(labels, place.network_shape, own, target, how)
    else:
        labels = np.asarray(how(labels[None], place.network_shape, own, target))[0]
    for value, channel in zip(recipe.foreground, out, strict=True):
        np.equal(labels, value, out=channel, casting="unsafe")
        let_go(out)


def preprocess_bytes(shape: Sequence[int], network_shape: Sequence[int], channels: int, recipe: Recipe) -> int:
    """Bytes that `preprocess` takes at its peak beyond the image it is given, its result included; rather too many.

    Parameters
    ----------
    shape: of the image, (z, y, x).
    network_shape: of the result, transposed; with the image's own shape uncropped, as long as the crop is not known.
    channels: of the result.
    recipe: of the model.
    """
    voxels, seen = math.prod(shape), math.prod(network_shape)
    cascade, how = channels > len(recipe.channels), recipe.resample_image
    masked = cascade or _needs_mask(recipe)
    search = (9 if masked else 2) * voxels  # mask, its complement, the complement's parts
    normalising = (14 if masked else 4) * voxels  # what NumPy's mean and deviation copy
    if isinstance(how, Resampling):
        whole = tuple(shape[i] for i in recipe.transpose_forward)
        resampling = resample_bytes(whole, network_shape, how)
    else:
        resampling = 8 * (voxels + seen)
    labels = 10 * voxels + 24 * seen if cascade else 0  # the one-hot labels' scores
    return max(search, 4 * seen * channels + (voxels if masked else 0) + max(normalising, resampling, labels))
