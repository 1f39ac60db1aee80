"""What metrics.json says, in the order in which the report shows it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluate.runs import OVERALL, Run, read_run
from ..files import read_json

MEASURES = {
    "dice": ("Dice", 3, ""),
    "nsd": ("Surface Dice", 3, ""),
    "hd95_mm": ("HD95", 1, "mm"),
    "assd_mm": ("ASSD", 2, "mm"),
    "volume_error_percent": ("Volume error", 1, "%"),
    "lesion_dice": ("Lesion-wise Dice", 3, ""),
}
"""Measure -> name, digits and unit on the page, of those that a report shows."""
MEASURE_NAMES = {name: ", ".join(filter(None, (one[0], one[2]))) for name, one in MEASURES.items()} | {
    "iou": "IoU",
    "volume_error_ml": "Volume error, ml",
    "lesion_hd95_mm": "Lesion-wise HD95, mm",
}
"""Measure -> name with its unit, of all that an evaluation has."""
HIGHER = ("dice", "iou", "nsd", "lesion_dice")
"""Measures of which more is better; of the others it is what is nearer to 0."""
_FENCE = 1.5
"""Tukey's: what lies farther than this many quartile ranges beyond a quartile stands out."""
_FEW = 5
"""Cases below which nothing can stand out."""


@dataclass(frozen=True)
class Scores:
    """An evaluation; with no metrics.json nothing but the names of cases."""

    cases: tuple[str, ...]
    """Those that were scored, the worst first (by their mean Dice), and without scores all, by name."""
    failures: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)
    """Of metrics.json."""
    run: Run | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Labels and regions."""
        return tuple(self.run.targets) if self.run else ()

    @property
    def measures(self) -> tuple[str, ...]:
        """Those of MEASURES that were worked out for at least one case."""
        there = self.content.get("definitions", {})
        return tuple(name for name in MEASURES if name in there and any(self.column(t, name) for t in self.targets))

    def value(self, case: str, target: str, measure: str) -> float | None:
        """A figure, None where it is not defined; `target` OVERALL is the mean over what dataset.json asks for."""
        if self.run is None or case not in self.run.cases:
            return None
        found = self.run.value(case, target, measure)
        return found if found is not None and math.isfinite(found) else None

    def column(self, target: str, measure: str) -> list[float]:
        """All figures that are defined."""
        return [value for case in self.cases if (value := self.value(case, target, measure)) is not None]

    def empty(self, case: str, target: str) -> str:
        """ "missed" (in the reference alone), "invented" (in the prediction alone), "in neither" or ""."""
        if self.run is None or case not in self.run.cases:
            return ""
        kind = self.run.cases[case].get(target, {}).get("empty", "")
        return {"prediction": "missed", "reference": "invented", "both": "in neither"}.get(kind, "")

    @cached_property
    def fences(self) -> dict[tuple[str, str], float]:
        """(target, measure) -> the value beyond which a case is unusually poor among these; none for few cases."""
        found = {}
        for target in (OVERALL, *self.targets):
            for measure in self.measures:
                values = self.column(target, measure)
                if len(values) >= _FEW:
                    low, high = np.percentile(values if measure in HIGHER else np.abs(values), (25, 75))
                    reach = _FENCE * (high - low)
                    found[target, measure] = float(low - reach if measure in HIGHER else high + reach)
        return found

    def stands_out(self, case: str, target: str, measure: str) -> bool:
        """Whether a case is unusually poor in a measure."""
        value, fence = self.value(case, target, measure), self.fences.get((target, measure))
        if value is None or fence is None:
            return False
        return value < fence if measure in HIGHER else abs(value) > fence

    def chosen(self, count: int) -> list[tuple[str, str]]:
        """The cases to show at most, each with what it is among all; with more cases than that, also the usual one.

        The worst come first; the last two places are those of the median and the best case.
        """
        if not self.run:
            return [(case, "") for case in self.cases[:count]]
        whole, number = self.cases, len(self.cases)
        if number <= count or count < 4:
            return [(case, _rank(place, number)) for place, case in enumerate(whole[:count])]
        middle, worst = number // 2, count - 2
        places = [*range(worst), middle if middle >= worst else worst, number - 1]
        return [(whole[place], _rank(place, number)) for place in places]


def _rank(place: int, number: int) -> str:
    if number == 1:
        return ""
    if place == 0:
        return "the worst case"
    if place == number - 1:
        return "the best case"
    if place == number // 2 and number > 2:
        return "the median case"
    return f"{place + 1} of {number}, worst first"


def read_scores(path: Path) -> Scores:
    """metrics.json or the folder it lies in. ConfigError where it is none, DataError where it is damaged."""
    run = read_run(path)
    content = read_json(run.path)

    def badness(case: str) -> tuple[float, str]:
        value = run.value(case, OVERALL, "dice")
        return (math.inf if value is None else value, case)  # what has nothing to score is no bad case

    return Scores(tuple(sorted(run.cases, key=badness)), dict(content["failures"]), content, run)
