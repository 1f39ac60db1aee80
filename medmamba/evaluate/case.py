"""One case scored: every label and region, one at a time, within the box around it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .labels import read_pair
from .lesions import LesionScore, hull, lesion_score
from .overlap import Overlap, joint_counts, of_members
from .surface import average_distance, percentile, surface_dice, surface_distances
from .targets import Rules, Target

DEFINITIONS = {
    "dice": "2|P and R| / (|P| + |R|)",
    "iou": "|P and R| / |P or R|",
    "nsd": "normalised surface Dice: share of surface voxels of P and R within the tolerance of the other's surface",
    "hd95_mm": "the larger of the two directions' 95th percentiles of surface distances",
    "assd_mm": "mean distance of the surface voxels of P and R to the other's surface",
    "volume_error_ml": "volume of P minus volume of R; only in volumes",
    "volume_error_percent": "(volume of P - volume of R) / volume of R",
    "lesion_dice": "sum of the lesions' Dice / (lesions + false lesions)",
    "lesion_hd95_mm": "sum of the lesions' HD95, with the penalty for each missed or false one / (lesions + false)",
}
"""P: the prediction's voxels, R: the reference's. Surfaces: voxels with a neighbour across a face outside."""
EMPTY = {
    "both": "no figure; left out of means and counted as `empty`",
    "one": "dice, iou, nsd 0; hd95_mm and assd_mm the diagonal of the image; counted as `one_empty`",
    "volume_error_percent": "no figure where the reference is empty",
    "lesions": "with no lesion and no false lesion lesion_dice is 1 and lesion_hd95_mm 0",
    "ignore": "voxels with the ignore label in the reference are background in both",
}
"""What becomes of structures without a voxel."""


@dataclass(frozen=True)
class Score:
    """One target in one case; None where a figure is not defined, see EMPTY."""

    overlap: Overlap
    nsd: float | None
    hd95_mm: float | None
    assd_mm: float | None
    volume_error_ml: float | None
    volume_error_percent: float | None
    lesions: LesionScore | None = None

    @property
    def empty(self) -> str:
        """ "", "prediction", "reference" or "both"."""
        p, r = self.overlap.predicted, self.overlap.reference
        return "" if p and r else "both" if not p and not r else "reference" if p else "prediction"

    def values(self) -> dict[str, float | None]:
        """All of DEFINITIONS that were asked for."""
        plain = {"dice": self.overlap.dice, "iou": self.overlap.iou}
        for name in ("nsd", "hd95_mm", "assd_mm", "volume_error_ml", "volume_error_percent"):
            plain[name] = getattr(self, name)
        if self.lesions is not None:
            plain |= {"lesion_dice": self.lesions.dice, "lesion_hd95_mm": self.lesions.hd95_mm}
        return plain

    def as_json(self) -> dict[str, Any]:
        """`values`, voxel counts, and the numbers of lesions."""
        counts = {"lesions_" + name: value for name, value in asdict(self.lesions).items()} if self.lesions else {}
        counts = {name: value for name, value in counts.items() if name.endswith(("found", "missed", "false", "small"))}
        return {**self.values(), "empty": self.empty, **{f"{k}_voxels": v for k, v in asdict(self.overlap).items()},
                **counts}  # fmt: skip


def score_case(prediction: Path, reference: Path, rules: Rules) -> dict[str, Score]:
    """Name of a target -> its score. DataError, naming the file, for a pair that cannot be compared (`read_pair`)."""
    declared = rules.declared
    names = {target.name: target.values[0] for target in rules.targets if len(target.values) == 1}
    predicted, truth, spacing = read_pair(prediction, reference, declared, names)
    if rules.ignore is not None:
        _forget(predicted, truth, declared.index(rules.ignore))
    return score_arrays(predicted, truth, spacing, rules)


def score_arrays(
    predicted: NDArray[Any], truth: NDArray[Any], spacing: Sequence[float], rules: Rules
) -> dict[str, Score]:
    """Score two maps of places in `rules.declared`, ([z,] y, x), spacing alike in mm.

    Besides the maps it takes about 20 bytes a voxel of the largest box around one target in either map.
    """
    declared = rules.declared
    table = joint_counts(predicted, truth, len(declared))
    boxes = [ndimage.find_objects(one, len(declared) - 1) for one in (predicted, truth)]
    scores = {}
    for target in rules.targets:
        members = [declared.index(value) for value in target.values]
        found = [box[member - 1] for box in boxes for member in members if box[member - 1] is not None]
        counts = of_members(table, members)
        if not found:
            scores[target.name] = _score(counts, target, None, spacing, truth.shape, rules)
            continue
        box = hull(found)
        masks = _mask(predicted[box], members), _mask(truth[box], members)
        scores[target.name] = _score(counts, target, masks, spacing, truth.shape, rules)
    return scores


def _score(
    counts: Overlap,
    target: Target,
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None,
    spacing: Sequence[float],
    shape: Sequence[int],
    rules: Rules,
) -> Score:
    """`masks`: prediction and reference within their common box; None where both are empty."""
    edge, diagonal = float(np.prod(spacing)), float(np.linalg.norm(np.multiply(shape, spacing)))
    more = counts.predicted - counts.reference
    volume = more * edge / 1000 if len(shape) == 3 else None
    percent = 100 * more / counts.reference if counts.reference else None
    lesions = None
    if masks is None:
        if rules.lesions is not None:
            lesions = LesionScore(1.0, 0.0, 0, 0, 0, 0)
        return Score(counts, None, None, None, volume, percent, lesions)
    if rules.lesions is not None:
        lesions = lesion_score(*masks, spacing, rules.lesions, diagonal)
    both = surface_distances(*masks, spacing)
    if both is None:
        return Score(counts, 0.0, diagonal, diagonal, volume, percent, lesions)
    nsd, far, mean = surface_dice(both, target.tolerance), percentile(both, 95), average_distance(both)
    return Score(counts, nsd, far, mean, volume, percent, lesions)


def _mask(places: NDArray[Any], members: Sequence[int]) -> NDArray[np.bool_]:
    chosen = np.zeros(int(np.iinfo(places.dtype).max) + 1, bool)
    chosen[list(members)] = True
    return chosen[places]


def _forget(predicted: NDArray[Any], truth: NDArray[Any], ignored: int) -> None:
    """Make what the reference ignores background in both, a slice at a time."""
    for p, r in zip(predicted, truth, strict=True):
        p[r == ignored] = 0
        r[r == ignored] = 0
    predicted[predicted == ignored] = 0
