"""What the viewer in the page gets of a case: small volumes of 8 bits with fresh headers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cases import Loaded
from .pictures import Pictures
from .views import field
from .volumes import as_nifti

MOST, TOGETHER = 2_000_000, 4_200_000
"""Voxels of one volume in the viewer, and of all cases together, at most."""
_MARGIN = 30.0
"""mm around the structure, where a volume is cut."""


@dataclass(frozen=True)
class Viewed:
    """One case in the viewer."""

    image: str
    """base64 of NIfTI, 0..255; black where there is no image."""
    prediction: str | None
    reference: str | None
    """base64 of NIfTI; the n-th label value of the page is n."""
    centre: tuple[float, float, float]
    """mm to the right, anterior, superior: where the planes start."""
    flat: bool
    text: str
    """What was cut or made coarser; empty for a whole volume."""


def viewed(case: Loaded, pictures: Pictures, values: Sequence[int], limit: int) -> Viewed:
    """The case for the viewer.

    values: the label values of the page, ascending; the first 255 are shown.
    limit: voxels at most (`limit_of`). A larger volume is cut to the structures and then made coarser.
    """
    masks = [one for one in (case.truth, case.found) if one is not None]
    part: tuple[slice, ...] = tuple(slice(0, size) for size in case.size)
    cut = math.prod(case.size) > limit and case.size[2] > 1
    if cut:
        part = field(masks, case.size, case.spacing, _MARGIN)
        cut = any(one.stop - one.start < size for one, size in zip(part, case.size, strict=True))
    factors = _factors([one.stop - one.start for one in part], case.spacing, limit)
    affine = _moved(case.base.affine, [one.start for one in part], factors)
    numbers = {value: number for number, value in enumerate(values, 1) if number < 256}
    labels = [None if one is None else as_nifti(_labels(one[part], factors, numbers), affine)
              for one in (case.found, case.truth)]  # fmt: skip
    centre = case.base.affine @ (*pictures.place.at, 1)
    return Viewed(
        image=as_nifti(_grey(case, pictures, part, factors), affine),
        prediction=labels[0],
        reference=labels[1],
        centre=(float(centre[0]), float(centre[1]), float(centre[2])),
        flat=case.size[2] == 1,
        text=_text(case, cut, factors, limit),
    )


def limit_of(cases: int) -> int:
    """Voxels that each of so many cases may have."""
    return min(MOST, TOGETHER // max(1, cases))


def _factors(size: Sequence[int], spacing: Sequence[float], limit: int) -> tuple[int, int, int]:
    """By how much each axis is made coarser: always the finest next, until the volume is small enough."""
    factors = [1, 1, 1]
    while math.prod(-(-length // factor) for length, factor in zip(size, factors, strict=True)) > limit:
        open_axes = [axis for axis in range(3) if factors[axis] < size[axis]]
        axis = min(open_axes, key=lambda one: spacing[one] * factors[one])
        factors[axis] += 1
    return factors[0], factors[1], factors[2]


def _moved(affine: NDArray[np.float64], start: Sequence[int], factors: Sequence[int]) -> NDArray[np.float64]:
    """The affine of a part in blocks: the first voxel's centre is that of the first block."""
    step = np.diag([*map(float, factors), 1.0])
    step[:3, 3] = [first + (factor - 1) / 2 for first, factor in zip(start, factors, strict=True)]
    return affine @ step


def _grey(case: Loaded, pictures: Pictures, part: Sequence[slice], factors: Sequence[int]) -> NDArray[np.uint8]:
    if pictures.channel is None or pictures.window is None:
        size = [-(-(one.stop - one.start) // factor) for one, factor in zip(part, factors, strict=True)]
        return np.zeros(size, np.uint8)
    voxels = case.images[pictures.channel].voxels[tuple(part)]
    grey = voxels.mean(-1) if voxels.ndim > 3 else voxels
    if max(factors) > 1:
        grey = _blocks(grey.astype(np.float32), factors).mean((1, 3, 5))
    return pictures.window.apply(grey)


def _labels(labels: NDArray[Any], factors: Sequence[int], numbers: Mapping[int, int]) -> NDArray[np.uint8]:
    """Labels as their numbers on the page; in blocks the one that has most voxels."""
    known = np.zeros(max(int(labels.max()), *numbers) + 1, np.uint8)
    known[list(numbers)] = list(numbers.values())
    named = known[labels.clip(0)]
    if max(factors) == 1:
        return named
    blocks = np.moveaxis(_blocks(named, factors), (1, 3, 5), (0, 1, 2))
    voters = blocks.reshape(-1, *blocks.shape[3:])  # one coarse map for each place in a block
    winner, most = voters[0].copy(), np.zeros(voters[0].shape, np.uint16)
    for one in voters:
        votes = np.zeros(one.shape, np.uint16)
        for other in voters:
            votes += one == other
        better = votes > most
        winner[better], most[better] = one[better], votes[better]
    return winner


def _blocks(voxels: NDArray[Any], factors: Sequence[int]) -> NDArray[Any]:
    """(X, Y, Z) as (X / a, a, Y / b, b, Z / c, c); the last voxels are repeated where it does not come out even."""
    wanted = [-(-size // factor) for size, factor in zip(voxels.shape, factors, strict=True)]
    more = [(0, many * factor - size) for many, factor, size in zip(wanted, factors, voxels.shape, strict=True)]
    padded = np.pad(voxels, more, "edge")
    return padded.reshape([one for pair in zip(wanted, factors, strict=True) for one in pair])


def _text(case: Loaded, cut: bool, factors: Sequence[int], limit: int) -> str:
    """A sentence about what the viewer leaves out."""
    told = []
    if cut:
        told.append("only the part around the structures")
    if max(factors) > 1:
        was, now = (" x ".join(f"{edge:.3g}" for edge in edges) for edges in (
            case.spacing, [edge * factor for edge, factor in zip(case.spacing, factors, strict=True)]))  # fmt: skip
        told.append(f"voxels of {now} mm in place of {was} mm")
    if not told:
        return ""
    return f"Reduced for this page ({limit:,} voxels at most): {', '.join(told)}."
