"""Voxels that two label maps have in common, and what follows from their numbers.

Dice(P, R) = 2 |P and R| / (|P| + |R|) and IoU(P, R) = |P and R| / |P or R|, for the voxels P of a prediction and R of a
reference. Where both are empty neither is defined; where one of them is empty both are 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 2**22
"""Voxels that are counted together."""


@dataclass(frozen=True)
class Overlap:
    """One structure in two label maps, in voxels."""

    predicted: int
    reference: int
    common: int

    @property
    def dice(self) -> float | None:
        """None where both are empty."""
        both = self.predicted + self.reference
        return 2 * self.common / both if both else None

    @property
    def iou(self) -> float | None:
        """Intersection over union, the Jaccard index; None where both are empty."""
        union = self.predicted + self.reference - self.common
        return self.common / union if union else None


def overlap(predicted: NDArray[Any], reference: NDArray[Any]) -> Overlap:
    """Of two masks of one shape."""
    p, r = np.asarray(predicted, bool), np.asarray(reference, bool)
    return Overlap(int(np.count_nonzero(p)), int(np.count_nonzero(r)), int(np.count_nonzero(p & r)))


def joint_counts(predicted: NDArray[Any], reference: NDArray[Any], count: int) -> NDArray[np.int64]:
    """(count, count): voxels that are i in the prediction and j in the reference, of two maps of 0 to count - 1.

    All labels and regions are counted from this in one pass over the volume.
    """
    p, r = predicted.reshape(-1), reference.reshape(-1)
    table = np.zeros(count * count, np.int64)
    for first in range(0, p.size, _AT_ONCE):
        pairs = p[first : first + _AT_ONCE].astype(np.intp) * count + r[first : first + _AT_ONCE]
        table += np.bincount(pairs, minlength=count * count)
    return table.reshape(count, count)


def of_members(table: NDArray[np.int64], members: Sequence[int]) -> Overlap:
    """The overlap of a label, or of the labels that make up a region, from `joint_counts`."""
    rows = table[list(members)]
    predicted, common = rows.sum(), rows[:, list(members)].sum()
    return Overlap(int(predicted), int(table[:, list(members)].sum()), int(common))
