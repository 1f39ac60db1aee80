"""Dice per label or region and case, with the policy for empty structures written into the report.

Dice(P, R) = 2 |P and R| / (|P| + |R|). Where prediction and reference are both empty it is not defined: such a case is
left out of that label's mean and counted as `empty`. Where only one of them is empty it is 0. A mean is over cases
first (one figure a label), then over the labels that have a figure.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import DataError

Labels = Mapping[str, int | Sequence[int]]
"""Name -> value, or values of a region."""

POLICY = "both empty: left out of the mean and counted; one empty: 0"
TOLERANCE = {"spacing": 1e-3, "origin": 1e-2, "direction": 1e-3}
"""Largest difference of two geometries that counts as rounding: spacing and origin in mm, direction as cosines."""


@dataclass(frozen=True)
class Score:
    """One label in one case."""

    dice: float | None
    """None where both are empty."""
    predicted: int
    """Voxels in the prediction."""
    reference: int
    """Voxels in the reference."""


@dataclass(frozen=True)
class Summary:
    """One label over all cases."""

    dice: float | None
    """Mean over the cases that have a figure; None when none has."""
    std: float | None
    """Population standard deviation over the same cases."""
    scored: int
    """Cases in the mean."""
    empty: int
    """Cases left out because prediction and reference are both empty."""


@dataclass(frozen=True)
class Report:
    """What `evaluate_folder` found."""

    cases: Mapping[str, Mapping[str, Score]]
    """Case -> label -> score."""
    labels: Mapping[str, Summary]
    """Label -> summary."""
    mean_dice: float | None
    """Mean of the labels' means."""

    def as_json(self) -> dict[str, Any]:
        """The report for a JSON file, policy and tolerances included."""
        return {"metric": "Dice", "empty": POLICY, "geometry_tolerance": TOLERANCE, **asdict(self)}


def labels_of(dataset_json: Mapping[str, Any]) -> dict[str, int | list[int]]:
    """The labels or regions that a dataset.json asks for, without the background. The ignore label stays in."""
    labels: dict[str, int | list[int]] = dataset_json.get("labels", {})
    if not labels:
        raise DataError("dataset.json has no labels.", "Add its `labels` table.")
    return {name: value for name, value in labels.items() if value != 0 and name != "background"}


def evaluate_folder(
    predictions: Path,
    references: Path,
    labels: Labels,
    ending: str = ".nii.gz",
    cases: Collection[str] | None = None,
) -> Report:
    """Score every case of `references` (or those in `cases`) against the file of the same name in `predictions`.

    A label named "ignore" is not scored; its voxels in the reference are left out of every count. DataError names the
    files when a prediction is missing, a file cannot be read, or two geometries differ by more than `TOLERANCE`.
    """
    for folder in (predictions, references):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder.", "Check the path.")
    names = sorted(path.name for path in references.glob(f"*{ending}"))
    if cases is not None:
        names = [name for name in names if name.removesuffix(ending) in cases]
    if not names:
        raise DataError(f"{references} holds no *{ending} file.", "Check the path of the reference labels.")
    if missing := [name for name in names if not (predictions / name).is_file()]:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(f"{predictions} lacks {len(missing)} of {len(names)} cases: {listed}.", "Predict them first.")
    scored = {name.removesuffix(ending): score_case(predictions / name, references / name, labels) for name in names}
    summaries = {label: _summary([scores[label] for scores in scored.values()]) for label in _scored(labels)}
    means = [summary.dice for summary in summaries.values() if summary.dice is not None]
    return Report(scored, summaries, float(np.mean(means)) if means else None)


def score_case(prediction: Path, reference: Path, labels: Labels) -> dict[str, Score]:
    """Label -> score of one case. Errors as in `evaluate_folder`."""
    predicted, truth = _read(prediction), _read(reference)
    _check_geometry(predicted, truth, prediction, reference)
    p, r = sitk.GetArrayFromImage(predicted), sitk.GetArrayFromImage(truth)
    if "ignore" in labels:
        keep = ~_mask(r, labels["ignore"])
        p, r = p[keep], r[keep]
    return {label: _score(_mask(p, values), _mask(r, values)) for label, values in _scored(labels).items()}


def _scored(labels: Labels) -> Labels:
    return {label: values for label, values in labels.items() if label != "ignore"}


def _mask(array: NDArray[Any], values: int | Sequence[int]) -> NDArray[np.bool_]:
    return np.isin(array, values)


def _score(p: NDArray[np.bool_], r: NDArray[np.bool_]) -> Score:
    n_p, n_r = int(p.sum()), int(r.sum())
    dice = 2 * int((p & r).sum()) / (n_p + n_r) if n_p + n_r else None
    return Score(dice, n_p, n_r)


def _summary(scores: Sequence[Score]) -> Summary:
    values = [score.dice for score in scores if score.dice is not None]
    if not values:
        return Summary(None, None, 0, len(scores))
    return Summary(float(np.mean(values)), float(np.std(values)), len(values), len(scores) - len(values))


def _read(path: Path) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise DataError(f"{path} cannot be read as an image.", "It may be damaged: write it again.") from error


def _check_geometry(predicted: sitk.Image, truth: sitk.Image, prediction: Path, reference: Path) -> None:
    if predicted.GetSize() != truth.GetSize():
        raise DataError(
            f"{prediction} has {predicted.GetSize()} voxels and {reference} {truth.GetSize()}.",
            "Predict from the image that the reference was drawn on.",
        )
    for what, tolerance in TOLERANCE.items():
        p, r = (getattr(image, f"Get{what.capitalize()}")() for image in (predicted, truth))
        if not np.allclose(p, r, rtol=0, atol=tolerance):
            raise DataError(
                f"{what.capitalize()} of {prediction} is {_rounded(p)} and of {reference} {_rounded(r)}.",
                f"They must agree within {tolerance:g}: resample one onto the other.",
            )


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)
