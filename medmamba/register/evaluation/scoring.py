"""How well a transform registers one pair: labels, landmarks and the field itself, by one routine for all methods."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluate.statistics import quantiles
from ...evaluate.surface import hd95
from .. import metrics
from ..images import Volume
from ..transforms.transform import Transform
from ..warping import LabelInterpolation, outside_share, warp_labels

DEFINITIONS = {
    "dice": "mean over labels of 2|F and W| / (|F| + |W|); a label absent in both is left out, absent in one it is 0",
    "hd95_mm": "mean over labels of the 95th percentile of the surface distances of both directions pooled, mm",
    "hd95_voxel": "the same counting every voxel edge as 1",
    "hd95_max_voxel": "the larger of the two directions' 95th percentiles, in voxels, as Learn2Reg",
    "tre_mm": "mean distance of transformed fixed landmarks from the moving ones, field sampled linearly, mm",
    "folding_percent": "% of fixed voxels (in the mask) with det(I + du/dx) <= 0, central differences, rim of 2 cut",
    "sdlogj": "standard deviation of ln(max(J, 1e-9)) over the same voxels",
    "sdlogj_l2r": "standard deviation of ln(max(J + 3, 1e-9)), as Learn2Reg",
    "outside_percent": "% of fixed voxels that map outside of the moving image",
}  # fmt: skip
"""What each value of a pair is. All are means over its labels or landmarks, or of its field."""
HIGHER_IS_BETTER = frozenset({"dice"})
"""Of DEFINITIONS; of all others less is better."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What a pair is judged by. Each lies in the space of its own image."""

    fixed: Volume
    """Label map whose grid is the fixed grid."""
    moving: Volume
    labels: tuple[int, ...] | None = None
    """Those that count; None: all that occur in either."""
    fixed_points: NDArray[np.float64] | None = None
    moving_points: NDArray[np.float64] | None = None
    """(N, 3), RAS mm, the same landmark in the same row."""
    mask: NDArray[Any] | None = None
    """(X, Y, Z) on the fixed grid: where folding counts."""

    def wanted(self) -> list[int]:
        """The labels that count."""
        return list(self.labels) if self.labels is not None else metrics.foreground(self.fixed.data, self.moving.data)


@dataclass(frozen=True)
class LabelScore:
    """One structure of one pair; None where a figure is not defined."""

    dice: float | None
    hd95_mm: float | None
    hd95_voxel: float | None
    hd95_max_voxel: float | None
    fixed: int
    warped: int
    """Voxels."""
    absent: str
    """"", "fixed", "warped" or "both": where the structure has no voxel."""


@dataclass(frozen=True)
class PairScore:
    """All figures of one pair."""

    name: str
    labels: Mapping[int, LabelScore]
    tre_mm: tuple[float, ...]
    """Of each landmark."""
    field: Mapping[str, float]
    """folding_percent, sdlogj, sdlogj_l2r, outside_percent."""

    def value(self, what: str) -> float | None:
        """One of DEFINITIONS, or `dice_3`, `hd95_mm_3` for label 3 alone; None where it is not defined."""
        if what in self.field:
            return self.field[what]
        if what == "tre_mm":
            return float(np.mean(self.tre_mm)) if self.tre_mm else None
        kind, _, label = what.rpartition("_")
        if label.isdigit():
            one = self.labels.get(int(label))
            return None if one is None else getattr(one, kind)
        known = [value for one in self.labels.values() if (value := getattr(one, what)) is not None]
        return float(np.mean(known)) if known else None

    def values(self) -> dict[str, float | None]:
        """Everything in DEFINITIONS, and Dice and HD95 of each label."""
        return {
            **{what: self.value(what) for what in DEFINITIONS},
            **{f"{kind}_{label}": self.value(f"{kind}_{label}") for kind in _PER_LABEL for label in self.labels},
        }

    def as_json(self) -> dict[str, Any]:
        """The pair for a JSON file: `values` and the details behind them."""
        labels = {str(label): asdict(score) for label, score in self.labels.items()}
        landmarks = {"tre_mm": quantiles(self.tre_mm), "landmarks": len(self.tre_mm)} if self.tre_mm else {}
        return {"name": self.name, "values": self.values(), "labels": labels, **landmarks}


_PER_LABEL = ("dice", "hd95_mm")


def score(name: str, transform: Transform, truth: Truth, interpolation: LabelInterpolation = "linear") -> PairScore:
    """Score the transform of a pair on the fixed grid.

    The moving labels are warped once, through the whole transform: `linear` warps them one-hot and takes the largest,
    `nearest` takes the nearest voxel's, which gives a Dice about 0.008 lower on small structures. The field figures
    are those of the whole transform, affine part included, sampled on the fixed grid.
    """
    grid = truth.fixed.grid
    field = transform.displacement_on(grid)
    warped = warp_labels(truth.moving, transform, grid, interpolation)
    return PairScore(
        name,
        score_labels(truth.fixed.data, warped.data, truth.wanted(), grid.spacing),
        _landmarks(transform, truth),
        {
            **metrics.field_figures(field.displacement, truth.mask),
            "outside_percent": 100 * outside_share(truth.moving.grid, transform, grid),
        },
    )


def score_labels(
    fixed: NDArray[Any], warped: NDArray[Any], labels: Sequence[int], spacing: Sequence[float]
) -> dict[int, LabelScore]:
    """Label -> figures, of two label maps of one grid."""
    return {
        label: LabelScore(
            overlap.dice,
            *_distances(fixed == label, warped == label, spacing),
            overlap.reference,
            overlap.predicted,
            _absent(overlap.reference, overlap.predicted),
        )
        for label, overlap in metrics.dice_per_label(fixed, warped, labels).items()
    }


def _distances(
    fixed: NDArray[Any], warped: NDArray[Any], spacing: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    return (
        hd95(fixed, warped, spacing),
        hd95(fixed, warped, spacing, "voxel"),
        hd95(fixed, warped, spacing, "voxel", "max"),
    )


def _absent(fixed: int, warped: int) -> str:
    if fixed and warped:
        return ""
    return "both" if not fixed and not warped else "warped" if fixed else "fixed"


def _landmarks(transform: Transform, truth: Truth) -> tuple[float, ...]:
    if truth.fixed_points is None or truth.moving_points is None:
        return ()
    return tuple(metrics.tre_mm(transform, truth.fixed_points, truth.moving_points).tolist())
