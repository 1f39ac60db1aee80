"""All cases together: means with intervals, detection, and what is written to metrics.json and metrics.csv."""

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..data.check.geometry import TOLERANCE
from ..files import replacing, writable, write_json
from .case import DEFINITIONS, EMPTY, Score
from .labels import SPACING
from .statistics import DRAWS, Interval, column_intervals, mean_of_means
from .targets import Rules, Target

FORMAT = "medmamba evaluation 1"
"""First key of metrics.json, by which it is known again."""
JSON, CSV = "metrics.json", "metrics.csv"
WORST_IS_ZERO = ("dice", "iou", "nsd")
"""Measures whose worst value is 0, so that a case which failed can be counted as worst."""


@dataclass(frozen=True)
class Summary:
    """One measure of one target over all cases."""

    mean: float
    low: float
    high: float
    """Of the 95 % bootstrap interval of the mean."""
    sd: float | None
    """Of the sample; None with one case."""
    median: float
    n: int
    """Cases in the mean."""
    failures_as_worst: float | None = None
    """The mean with each case that could not be scored as 0; for WORST_IS_ZERO, and None where none failed."""


@dataclass(frozen=True)
class Detection:
    """Whether a structure is found where it is: cases, not lesions."""

    found: int
    """In reference and prediction, with a common voxel."""
    missed: int
    """In the reference alone, or without a common voxel."""
    invented: int
    """In the prediction alone."""
    absent: int
    """In neither."""

    @property
    def sensitivity(self) -> float | None:
        """Share of the cases with the structure in which it is found."""
        return _share(self.found, self.missed)

    @property
    def specificity(self) -> float | None:
        """Share of the cases without it in which none is predicted."""
        return _share(self.absent, self.invented)


@dataclass(frozen=True)
class Report:
    """What an evaluation found."""

    rules: Rules
    scores: Mapping[str, Mapping[str, Score]]
    """Case -> target -> score."""
    failures: Mapping[str, str]
    """Case -> why it could not be scored."""
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> list[str]:
        """The names in DEFINITIONS that were worked out."""
        return [name for name in DEFINITIONS if self.rules.lesions is not None or not name.startswith("lesion_")]

    def column(self, target: str, measure: str) -> list[float | None]:
        """One measure of one target in all scored cases, in their order."""
        return [scores[target].values().get(measure) for scores in self.scores.values()]

    @cached_property
    def summaries(self) -> dict[str, dict[str, Summary | None]]:
        """Target -> measure -> summary over the cases that have a figure; None when none has."""
        keys = [(target.name, measure) for target in self.rules.targets for measure in self.measures]
        columns = [self.column(*key) for key in keys]
        intervals = column_intervals(np.array(columns, np.float64).reshape(len(keys), -1).T)
        found: dict[str, dict[str, Summary | None]] = {target.name: {} for target in self.rules.targets}
        for (target, measure), column, interval in zip(keys, columns, intervals, strict=True):
            found[target][measure] = None if interval is None else self._summary(measure, column, interval)
        return found

    def _summary(self, measure: str, column: Sequence[float | None], interval: Interval) -> Summary:
        values = [value for value in column if value is not None]
        worst = None
        if self.failures and measure in WORST_IS_ZERO:
            worst = sum(values) / (len(values) + len(self.failures))
        sd = statistics.stdev(values) if len(values) > 1 else None
        return Summary(interval.mean, interval.low, interval.high, sd, statistics.median(values), interval.n, worst)

    def detection(self, target: str) -> Detection:
        """Of one target over the scored cases."""
        kinds = [_detected(scores[target]) for scores in self.scores.values()]
        return Detection(*(kinds.count(kind) for kind in ("found", "missed", "invented", "absent")))

    def empties(self, target: str) -> dict[str, int]:
        """Cases in which the target is empty in both, and in one of prediction and reference."""
        kinds = [scores[target].empty for scores in self.scores.values()]
        return {"empty": kinds.count("both"), "one_empty": len(kinds) - kinds.count("both") - kinds.count("")}

    @cached_property
    def means(self) -> dict[str, Interval]:
        """Measure -> mean over cases, then over the targets that dataset.json asks for, with its interval."""
        asked = [target.name for target in self.rules.targets if target.learnt]
        found = {}
        for measure in self.measures:
            table = np.array([self.column(name, measure) for name in asked], np.float64).T
            if table.size and (interval := mean_of_means(table)) is not None:
                found[measure] = interval
        return found

    @property
    def mean_dice(self) -> float | None:
        """Of `means`."""
        return self.means["dice"].mean if "dice" in self.means else None

    def as_json(self) -> dict[str, Any]:
        """The report for metrics.json: aggregates first, then `per_case`, the only part that names cases."""
        return {
            "format": FORMAT,
            "medmamba": __version__,
            "definitions": {name: DEFINITIONS[name] for name in self.measures},
            "surface": "voxels with a neighbour across a face outside, each counted once, from centre to centre",
            "empty": EMPTY,
            "geometry_tolerance": {"voxels": TOLERANCE, "spacing": SPACING},
            "interval": f"95 % percentile bootstrap over cases, {DRAWS} draws",
            "lesion_rules": self.rules.lesions.model_dump() if self.rules.lesions else None,
            "cases": len(self.scores),
            "failed": len(self.failures),
            "mean": {name: asdict(interval) for name, interval in self.means.items()},
            "targets": {target.name: self._of_target(target) for target in self.rules.targets},
            "notes": list(self.notes),
            "failures": dict(self.failures),
            "per_case": {
                case: {name: score.as_json() for name, score in scores.items()} for case, scores in self.scores.items()
            },
        }

    def _of_target(self, target: Target) -> dict[str, Any]:
        found = self.summaries[target.name]
        detection = self.detection(target.name)
        rates = {"sensitivity": detection.sensitivity, "specificity": detection.specificity}
        content: dict[str, Any] = {
            "kind": target.kind,
            "values": list(target.values),
            "in_mean": target.learnt,
            "nsd_tolerance_mm": target.tolerance,
            **self.empties(target.name),
            "detection": {**asdict(detection), **rates},
            "measures": {name: None if one is None else asdict(one) for name, one in found.items()},
        }
        if self.rules.lesions is not None:
            content["lesions"] = self.lesions(target.name)
        return content

    def lesions(self, target: str) -> dict[str, float | int | None]:
        """Lesions of all cases together: found, missed, false, small, sensitivity, precision."""
        scores = [one for case in self.scores.values() if (one := case[target].lesions) is not None]
        names = ("found", "missed", "false", "small")
        counts = {name: sum(getattr(one, name) for one in scores) for name in names}
        found, missed, false = counts["found"], counts["missed"], counts["false"]
        return {**counts, "sensitivity": _share(found, missed), "precision": _share(found, false)}

    def write(self, folder: Path) -> None:
        """metrics.json and metrics.csv, each whole or not at all. SetupError where they cannot be written."""
        with writable(folder):
            write_json(folder / JSON, self.as_json())
            with replacing(folder / CSV) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                rows = list(self._rows())
                writer = csv.DictWriter(file, list(rows[0]) if rows else ["case", "target"])
                writer.writeheader()
                writer.writerows(rows)

    def _rows(self) -> Iterable[dict[str, Any]]:
        """A row for each target of each case; cells without a figure are empty."""
        kinds = {target.name: target.kind for target in self.rules.targets}
        for case, scores in self.scores.items():
            for name, score in scores.items():
                yield {"case": case, "target": name, "kind": kinds[name], **score.as_json()}


def _detected(score: Score) -> str:
    if score.empty == "both":
        return "absent"
    if score.empty == "reference":
        return "invented"
    return "found" if score.overlap.common else "missed"


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
