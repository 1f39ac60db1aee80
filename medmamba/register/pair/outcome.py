"""Whether a registration did any good: the same measures at the start, after the affine and after the deformation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import normalized_mutual_information

from ...evaluate.surface import hd95
from ..images import Volume
from ..metrics import dice_per_label, tre_mm
from ..points import Points
from ..similarity import BY_NAME
from ..transforms.transform import Transform
from ..warping import warp_labels
from .options import LabelInterp
from .workspace import Scene

StageName = Literal["start", "affine", "deformation"]
WORSE = 3
"""Exit code of a registration whose result was worse than what it began with, and was dropped."""
_SLACK: Mapping[str, float] = {"lncc": 0.005, "mse": 2e-4, "nmi": 0.002, "mind": 0.003}
"""By how much a similarity may rise before that counts: interpolation alone changes it so much."""
_DICE_SLACK = 0.005
_FEWEST = 100
"""Voxels that a similarity can be told on."""
_BINS = 32
_LEAST_COMMON = 0.05
"""Share of the fixed voxels that all stages have to see for being compared on these alone."""


@dataclass(frozen=True)
class Score:
    """How well the two images fit at one stage."""

    stage: StageName
    similarity: Mapping[str, float]
    """See `similarities`. On the voxels that all stages see."""
    dice: Mapping[int, float | None]
    """Label -> Dice; empty without segmentations."""
    hd95: Mapping[int, float | None]
    """Label -> symmetric 95th percentile of the pooled surface distances, mm."""
    tre: tuple[float, ...]
    """mm, one a landmark; empty without points."""

    @property
    def mean_dice(self) -> float | None:
        """Over the labels that either image shows."""
        known = [value for value in self.dice.values() if value is not None]
        return float(np.mean(known)) if known else None

    @property
    def mean_hd95(self) -> float | None:
        """Over the labels that both images show."""
        known = [value for value in self.hd95.values() if value is not None]
        return float(np.mean(known)) if known else None

    def as_json(self) -> dict[str, Any]:
        """Plain values; what was not measured is left out."""
        content: dict[str, Any] = {"similarity": {name: round(value, 6) for name, value in self.similarity.items()}}
        if self.dice:
            content["dice"] = {"mean": self.mean_dice, **{str(label): value for label, value in self.dice.items()}}
            content["hd95_mm"] = {"mean": self.mean_hd95, **{str(label): value for label, value in self.hd95.items()}}
        if self.tre:
            content["tre_mm"] = {"mean": float(np.mean(self.tre)), "max": max(self.tre), "each": list(self.tre)}
        return content


@dataclass(frozen=True)
class Verdict:
    """Which stage is kept, and why."""

    kept: StageName
    exit_code: int
    sentence: str
    judge: str
    """What decided: dice, or the name of a similarity."""


@dataclass(frozen=True, eq=False)
class Measure:
    """What the stages are measured by."""

    fixed: Volume
    fixed_labels: Volume | None
    moving_labels: Volume | None
    """The fixed ones on the grid of the fixed image."""
    values: Sequence[int]
    points: tuple[Points, Points] | None
    interpolation: LabelInterp
    mask: NDArray[np.bool_] | None
    """On the work grid."""
    similarity: str
    """Name of the one that is optimised."""

    def scores(self, stages: Sequence[tuple[StageName, Scene, Transform]]) -> list[Score]:
        """One score a stage."""
        common = np.logical_and.reduce([seen.inside for _, seen, _ in stages])
        if self.mask is not None:
            common &= self.mask
        alone = common.mean() < _LEAST_COMMON
        return [
            self._score(name, seen, transform, seen.inside if alone else common) for name, seen, transform in stages
        ]

    def _score(self, name: StageName, seen: Scene, transform: Transform, region: NDArray[np.bool_]) -> Score:
        dice: dict[int, float | None] = {}
        distances: dict[int, float | None] = {}
        if self.fixed_labels is not None and self.moving_labels is not None:
            grid, truth = self.fixed.grid, self.fixed_labels.data
            warped = warp_labels(self.moving_labels, transform, grid, self.interpolation).data
            overlap = dice_per_label(truth, warped, self.values)
            dice = {label: score.dice for label, score in overlap.items()}
            distances = {label: hd95(truth == label, warped == label, grid.spacing) for label in self.values}
        tre = () if self.points is None else tre_mm(transform, self.points[0].ras, self.points[1].ras)
        return Score(name, similarities(seen, region, self.similarity), dice, distances, tuple(map(float, tre)))


def similarities(seen: Scene, region: NDArray[np.bool_], optimised: str) -> dict[str, float]:
    """The similarity that is optimised (lower is better), correlation -1..1 and normalised mutual information 1..2.

    Nothing where no voxel is seen.
    """
    fixed, moving = seen.fixed[region], seen.moving[region]
    if fixed.size < _FEWEST or np.ptp(fixed) == 0 or np.ptp(moving) == 0:
        return {}
    tensors = (
        torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]
        for array in (seen.fixed, seen.moving, region)
    )
    with torch.inference_mode():
        loss = float(BY_NAME[optimised](*tensors))
    return {
        optimised: loss,
        "correlation": float(np.corrcoef(fixed, moving)[0, 1]),
        "mutual_information": float(normalized_mutual_information(fixed, moving, bins=_BINS)),
    }


def judged(scores: Sequence[Score], similarity: str, labels: bool) -> Verdict:
    """The stage to keep.

    labels: Dice decides where there is one; the user's segmentations know better than intensities. Otherwise it is the
    similarity that was optimised. The last stage is kept unless it is worse than one before it; then the best one is.
    """
    labels = labels and all(score.mean_dice is not None for score in scores)
    judge = "dice" if labels else similarity

    def cost(score: Score) -> float:
        if labels:
            return -float(score.mean_dice or 0)
        return score.similarity.get(similarity, np.inf)

    slack = _DICE_SLACK if labels else _SLACK[similarity]
    last, best = scores[-1], min(scores, key=cost)
    if last is best or cost(last) <= cost(best) + slack:
        return Verdict(last.stage, 0, _good(scores, cost, judge, slack), judge)
    before, after = cost(best), cost(last)
    what = f"{judge} rose from {before:.3f} to {after:.3f}"
    if labels:
        what = f"Dice fell from {-before:.3f} to {-after:.3f}"
    sentence = f"The {last.stage} made it worse than the {best.stage} ({what}), so the {best.stage} was kept."
    return Verdict(best.stage, WORSE, sentence, judge)


def _good(scores: Sequence[Score], cost: Any, judge: str, slack: float) -> str:
    first, last = cost(scores[0]), cost(scores[-1])
    if not np.isfinite(first):
        return "The images did not overlap at the start; now they do."
    if judge == "dice":
        return f"Dice {-first:.3f} at the start, {-last:.3f} now."
    how = "better" if last < first - slack else "as good"
    return f"{judge} {first:.3f} at the start, {last:.3f} now (lower is better): {how}."
