"""Lesion-wise Dice and HD95: every lesion counts once, however small, and so does every lesion that is not there.

The rules are those of the BraTS 2023 challenges. Reference voxels whose dilations touch (26-neighbourhood) are one
lesion. Predicted components (26-neighbourhood) that touch the dilated lesion are its match, with all their voxels, and
are scored against the lesion as it was drawn. Lesions up to a volume are left out; what matches only such a one is no
error. Each further lesion without a match is missed, each component that matches no lesion at all is false:

    Dice = sum of Dice / (lesions + false)        HD95 = (sum of HD95 + penalty (missed + false)) / (lesions + false)

With nothing to count Dice is 1 and HD95 is 0. Distances are those of `surface`, where the challenge's script weighs
surface elements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..data.scoring import LesionRules
from .overlap import overlap
from .surface import percentile, surface_distances

Box = tuple[slice, ...]


@dataclass(frozen=True)
class LesionScore:
    """One label or region in one case."""

    dice: float
    hd95_mm: float
    found: int
    """Lesions of the reference with a match."""
    missed: int
    false: int
    """Predicted components that match no lesion."""
    small: int
    """Lesions of the reference left out for their volume."""


def lesion_score(
    predicted: NDArray[Any], reference: NDArray[Any], spacing: Sequence[float], rules: LesionRules, farthest: float
) -> LesionScore:
    """Score two masks of one grid, (z, y, x) or (y, x), with `spacing` in the same order.

    The masks may be cut to the box around both: where two dilations meet outside of it, they meet inside, too.
    `farthest`: what a missed or a false lesion counts in HD95, in mm, where `rules` name no penalty.
    """
    p, r = np.asarray(predicted, bool), np.asarray(reference, bool)
    components, many = ndimage.label(p, np.ones((3,) * p.ndim))
    lesions = _lesions(r, rules.dilation)
    boxes = ndimage.find_objects(components)
    edge, penalty = float(np.prod(spacing)), farthest if rules.penalty is None else rules.penalty
    matched: set[int] = set()
    dices, distances, missed, small = [], [], 0, 0
    for number, place in enumerate(ndimage.find_objects(lesions), 1):
        if place is None:
            continue
        touching = _touching(components, lesions, number, place, rules.dilation)
        matched.update(touching)
        if np.count_nonzero(lesions[place] == number) * edge <= rules.min_volume:
            small += 1
            continue
        missed += not touching
        window = hull([place, *(boxes[one - 1] for one in touching)])
        match, lesion = np.isin(components[window], touching), lesions[window] == number
        dices.append(overlap(match, lesion).dice or 0.0)
        both = surface_distances(lesion, match, spacing)
        distances.append(penalty if both is None else percentile(both, 95))
    false, kept = many - len(matched), len(dices)
    if not kept + false:
        return LesionScore(1.0, 0.0, 0, 0, 0, small)
    hd95 = (sum(distances) + penalty * false) / (kept + false)
    return LesionScore(sum(dices) / (kept + false), hd95, kept - missed, missed, false, small)


def _lesions(reference: NDArray[np.bool_], dilation: int) -> NDArray[np.int32]:
    """Numbers of the lesions, 0 elsewhere."""
    numbered, _ = ndimage.label(_dilated(reference, dilation), np.ones((3,) * reference.ndim))
    return np.where(reference, numbered, 0).astype(np.int32)


def _touching(
    components: NDArray[np.int32], lesions: NDArray[np.int32], number: int, place: Box, dilation: int
) -> list[int]:
    """The predicted components that the dilated lesion touches."""
    window = _grown(place, dilation, lesions.shape)
    reach = _dilated(lesions[window] == number, dilation)
    return [int(one) for one in np.unique(components[window][reach]) if one]


def _dilated(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Grown by `times` steps to the 18 neighbours across faces and edges (8 in a plane)."""
    if not times:
        return mask
    return ndimage.binary_dilation(mask, ndimage.generate_binary_structure(mask.ndim, 2), iterations=times)


def _grown(box: Box, margin: int, shape: Sequence[int]) -> Box:
    return tuple(
        slice(max(0, one.start - margin), min(size, one.stop + margin)) for one, size in zip(box, shape, strict=True)
    )


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of them."""
    return tuple(
        slice(min(one.start for one in axis), max(one.stop for one in axis)) for axis in zip(*boxes, strict=True)
    )
