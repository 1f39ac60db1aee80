"""Overlap of warped moving labels with the fixed ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluate.overlap import Overlap, overlap


def foreground(*maps: NDArray[Any]) -> list[int]:
    """The labels that occur in any of the maps, without 0, ascending."""
    found: set[int] = set()
    for labels in maps:
        found |= {int(value) for value in np.unique(labels)}
    return sorted(found - {0})


def dice_per_label(
    fixed: NDArray[Any], warped: NDArray[Any], labels: Sequence[int] | None = None
) -> dict[int, Overlap]:
    """Label -> Dice 2|F and W| / (|F| + |W|) of two label maps of one grid, with the voxels of either.

    A label absent in both has no Dice (None) and belongs in no mean; absent in one alone it is 0. `labels` not given:
    all that occur in either, without 0. This is `medmamba evaluate`'s definition too.
    """
    wanted = foreground(fixed, warped) if labels is None else [int(label) for label in labels]
    _same_shape(fixed, warped)
    return {label: overlap(warped == label, fixed == label) for label in wanted}


def dice_l2r_per_label(
    fixed: NDArray[Any], moving: NDArray[Any], warped: NDArray[Any], labels: Sequence[int] | None = None
) -> dict[int, float]:
    """Label -> Dice as Learn2Reg counts it: not a number where fixed or *unwarped moving* labels lack the label.

    So a structure that the moving image does not show is no failure here, where `dice_per_label` gives 0 if the fixed
    one shows it. `moving` may lie on another grid.
    """
    wanted = foreground(fixed, moving) if labels is None else labels
    scores = dice_per_label(fixed, warped, wanted)
    return {
        label: float(score.dice) if score.dice is not None and score.reference and (moving == label).any() else np.nan
        for label, score in scores.items()
    }


def _same_shape(fixed: NDArray[Any], warped: NDArray[Any]) -> None:
    if fixed.shape != warped.shape:
        raise ValueError(f"label maps of shapes {fixed.shape} and {warped.shape} do not lie on one grid")
