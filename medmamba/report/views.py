"""Where to cut a case, how much of it to show, and in which grey."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .volumes import Volume

PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))
"""Name and the axis (x, y, z) that is cut."""
SIDES = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}
"""Letters of the left, right, upper and lower edge."""
_MARGIN, _SHARE = 20.0, 0.35
"""mm, and share of the structures' extent, that is shown around them."""
_MOST = 2**23
"""Voxels in which the place of the largest disagreement is looked for; of larger boxes some are left out."""
_AIR, _SOFT, _LUNG, _BONE = -500.0, (40.0, 400.0), (-600.0, 1500.0), (400.0, 1800.0)
"""HU: below it there is air in every CT; (centre, width) of windows."""


@dataclass(frozen=True)
class Window:
    """Values that are shown black and white."""

    low: float
    high: float
    text: str

    def apply(self, voxels: NDArray[Any]) -> NDArray[np.uint8]:
        """As grey values, 0..255."""
        scaled = (np.asarray(voxels, np.float32) - self.low) / max(self.high - self.low, 1e-6)
        return np.rint(np.clip(np.nan_to_num(scaled), 0, 1) * 255).astype(np.uint8)


@dataclass(frozen=True)
class Place:
    """A voxel (x, y, z) and why the planes go through it."""

    at: tuple[int, int, int]
    text: str


def place(found: NDArray[Any] | None, truth: NDArray[Any] | None, spacing: Sequence[float]) -> Place:
    """Where prediction and reference (x, y, z) disagree most, else the middle of the structure, else of the volume.

    Most: the centre of the largest ball of voxels that differ, so that a missed lesion goes before a long, thin rim.
    """
    if found is not None and truth is not None and (deepest := _deepest(found != truth, spacing)) is not None:
        return Place(deepest, "where prediction and reference disagree most")
    there = [one for one in (truth, found) if one is not None]
    for one in there:
        if (deepest := _deepest(one > 0, spacing)) is not None:
            return Place(deepest, "through the thickest part of the structure")
    x, y, z = (size // 2 for size in there[0].shape[:3]) if there else (0, 0, 0)
    return Place((x, y, z), "through the middle, for nothing is marked")


def _deepest(mask: NDArray[np.bool_], spacing: Sequence[float]) -> tuple[int, int, int] | None:
    """The voxel of a mask farthest from its outside; None for an empty mask."""
    box = box_of(mask)
    if box is None:
        return None
    part = mask[box]
    step = max(1, int(np.ceil((part.size / _MOST) ** (1 / 3))))
    thin = part[::step, ::step, ::step]
    if not thin.any():
        thin, step = part, 1
    flat = [axis for axis in range(3) if mask.shape[axis] == 1]
    framed = np.pad(thin, [(0, 0) if axis in flat else (1, 1) for axis in range(3)])
    depth = ndimage.distance_transform_edt(framed, sampling=spacing)
    index = np.unravel_index(int(depth.argmax()), depth.shape)
    x, y, z = (int(place - (axis not in flat)) * step + box[axis].start for axis, place in enumerate(index))
    return x, y, z


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box around a mask (x, y, z); None where it is empty."""
    bounds = []
    for axis in range(3):
        line = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
        if not line.size:
            return None
        bounds.append(slice(int(line[0]), int(line[-1]) + 1))
    return bounds[0], bounds[1], bounds[2]


def field(
    masks: Sequence[NDArray[Any]], size: Sequence[int], spacing: Sequence[float], margin: float = _MARGIN
) -> tuple[slice, slice, slice]:
    """The part of a volume to show: all that is marked in any label map, with surroundings; all of it without marks."""
    boxes = [box for mask in masks if (box := box_of(mask > 0)) is not None]
    if not boxes or size[2] == 1:
        x, y, z = (slice(0, length) for length in size)
        return x, y, z
    parts = []
    for axis in range(3):
        first, last = min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)
        more = int(np.ceil(max(margin / spacing[axis], _SHARE * (last - first))))
        parts.append(slice(max(0, first - more), min(size[axis], last + more)))
    return parts[0], parts[1], parts[2]


def window(image: Volume, masks: Sequence[NDArray[Any]], channel: str = "") -> Window:
    """The grey scale of an image: for a CT one of the usual windows by what is marked, else by percentiles.

    `channel`: its name, where that is known; a CT without one is known by its values.
    """
    voxels = image.voxels
    if voxels.ndim > 3:
        return Window(0.0, 255.0, "in its own colours")
    sample = voxels[tuple(slice(None, None, max(1, size // 128)) for size in voxels.shape)].astype(np.float32)
    sample = sample[np.isfinite(sample)]
    if not sample.size or sample.min() == sample.max():
        return Window(float(sample.min()) if sample.size else 0.0, np.inf, "constant")
    if channel.casefold() == "ct" or (not channel and image.placed and _looks_like_ct(sample)):
        centre, width = _of_ct(voxels, masks)
        return Window(centre - width / 2, centre + width / 2, f"CT window: level {centre:g}, width {width:g} HU")
    inside = sample[sample > sample.min()]
    low, high = np.percentile(inside, (0.5, 99.5))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    return Window(float(low), float(high), "grey from the 0.5th to the 99.5th percentile")


def _looks_like_ct(sample: NDArray[np.float32]) -> bool:
    return bool(-4096 <= sample.min() <= _AIR and sample.max() > 100 and (sample < _AIR).mean() > 0.01)


def _of_ct(voxels: NDArray[Any], masks: Sequence[NDArray[Any]]) -> tuple[float, float]:
    inside = next((voxels[mask > 0] for mask in masks if (mask > 0).any()), None)
    middle = _SOFT[0] if inside is None else float(np.median(inside))
    return _LUNG if middle < -300 else _BONE if middle > 250 else _SOFT


def shown(volume: NDArray[Any], axis: int, at: int) -> NDArray[Any]:
    """A cut of (x, y, z, ...) as radiologists see it: rows down, columns to the right, the patient's right on the left.

    Sagittal cuts have the front on the left; front or head is up.
    """
    return np.take(volume, at, axis).swapaxes(0, 1)[::-1, ::-1]
