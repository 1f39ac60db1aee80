"""Predictions scored by their references, one after the other, without a name in what comes out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from .faults import FAULTS, fault_of

if TYPE_CHECKING:
    from ..evaluate.case import Score
    from ..evaluate.report import Report
    from ..evaluate.targets import Rules
    from .modes.base import Pairs


class StoppedInScoringError(Exception):
    """The process was asked to stop before all cases were scored: of some of them there are no scores."""


OnCase = Callable[[str, BaseException | None], None]
"""Told a case's name and what is wrong with it, if something is."""


@dataclass(frozen=True)
class Scored:
    """What an evaluation found."""

    report: "Report"
    """Its cases have the names that may be shown, and its failures are sentences of ours."""
    diagonal: Mapping[str, float]
    """Failed case -> mm that its HD95 counts: the diagonal of its reference's grid."""
    errors: tuple[BaseException, ...]
    """Of the failed cases."""
    pairs: "Pairs"
    """By the cases' own names."""


def score(
    pairs: "Pairs", rules: "Rules", shown: Callable[[str], str], on_case: OnCase, stopped: Callable[[], bool]
) -> Scored:
    """Score every pair. One that cannot be scored is among the report's failures.

    Raises DataError when that is so of all, and StoppedInScoringError as soon as `stopped` says so.
    """
    from ..evaluate.case import score_case
    from ..evaluate.report import Report

    scores: dict[str, dict[str, Score]] = {}
    failures: dict[str, str] = {}
    errors = []
    for case, (prediction, reference) in pairs.items():
        if stopped():
            raise StoppedInScoringError
        try:
            if prediction is None:
                raise DataError("There is no prediction of this case.", "Predict it first.")
            scores[shown(case)] = score_case(prediction, reference, rules)
        except Exception as error:  # one bad case never stops the others
            failures[shown(case)] = str(FAULTS[fault_of(error)])
            errors.append(error)
            on_case(case, error)
        else:
            on_case(case, None)
    if not scores:
        raise DataError("None of the cases could be scored.", "Look at the log.") from next(iter(errors), None)
    lengths = dict(_diagonals(pairs))
    farthest = max(lengths.values(), default=0.0)
    diagonal = {shown(case): lengths.get(case, farthest) for case in pairs if shown(case) in failures}
    return Scored(Report(rules, scores, failures), diagonal, tuple(errors), pairs)


def _diagonals(pairs: "Pairs") -> Iterator[tuple[str, float]]:
    """Case -> mm from corner to corner of its reference, where the header can be read."""
    for case, (_, reference) in pairs.items():
        if (length := diagonal(reference)) is not None:
            yield case, length


def diagonal(file: Path) -> float | None:
    """mm from corner to corner of an image's grid, by its header; None where that cannot be read."""
    import numpy as np
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return float(np.linalg.norm(np.multiply(reader.GetSize(), reader.GetSpacing())))
