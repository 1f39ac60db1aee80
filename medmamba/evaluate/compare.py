"""Methods on the same cases: paired differences, what is more than chance, and which cases changed most."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import __version__
from ..errors import ConfigError
from .case import DEFINITIONS
from .runs import OVERALL, Method, check_comparable
from .statistics import Difference, Interval, bootstrap_interval, holm, paired_difference

FORMAT = "medmamba comparison 1"
MEASURES = ("dice", "nsd", "hd95_mm")
"""What is compared where nothing else is asked for."""
_TEST = (
    "two-sided Wilcoxon signed-rank test over cases, each with its mean over the runs that have it; `corrected`: Holm's"
    " method over all tests of this file that are not of the mean over targets, and over those that are"
)


@dataclass(frozen=True)
class Spread:
    """One measure of one method, mean over targets."""

    cases: Interval
    """Over all cases, with 95 % bootstrap interval."""
    runs: tuple[float, ...]
    """Of each run: mean over its cases, then over targets."""

    @property
    def mean(self) -> float:
        """Of the runs."""
        return statistics.fmean(self.runs)

    @property
    def sd(self) -> float | None:
        """Of the runs, as of a sample; None of one run."""
        return statistics.stdev(self.runs) if len(self.runs) > 1 else None


@dataclass(frozen=True)
class PairedTest:
    """One measure of one target: a method minus the first."""

    method: str
    target: str
    measure: str
    difference: Difference
    corrected: float | None
    """P-value, corrected for the number of tests."""


@dataclass(frozen=True)
class Change:
    """One case."""

    case: str
    method: str
    first: float
    other: float
    target: str
    """The target that changed most in it."""

    @property
    def difference(self) -> float:
        """Other minus first."""
        return self.other - self.first


@dataclass(frozen=True)
class Comparison:
    """What sets methods apart; the first is what the others are compared with."""

    methods: tuple[Method, ...]
    spreads: dict[str, dict[str, Spread]]
    """Method -> measure."""
    tests: tuple[PairedTest, ...]
    changes: tuple[Change, ...]
    """By mean Dice over targets, the largest first, of each method in turn."""
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For compare.json."""
        return {
            "format": FORMAT,
            "medmamba": __version__,
            "test": _TEST,
            "methods": {method.name: self._of_method(method) for method in self.methods},
            "differences": [
                {"method": one.method, "minus": self.methods[0].name, "target": one.target, "measure": one.measure,
                 **asdict(one.difference), "p_corrected": one.corrected}
                for one in self.tests
            ],
            "changed_most": [{**asdict(one), "difference": one.difference} for one in self.changes],
            "notes": list(self.notes),
        }  # fmt: skip

    def _of_method(self, method: Method) -> dict[str, Any]:
        return {
            "runs": [str(run.path) for run in method.runs],
            "repeats": method.repeats,
            "cases": len(method.cases),
            "mean_over_targets": {
                measure: {"over_runs": one.mean, "sd_over_runs": one.sd, "runs": one.runs, "cases": asdict(one.cases)}
                for measure, one in self.spreads[method.name].items()
            },
        }


def compare(methods: Sequence[Method], measures: Sequence[str] = MEASURES, most: int = 10) -> Comparison:
    """Compare every method with the first, case by case, for each target and the mean over targets.

    `most`: cases that are named for each method. Raises ConfigError where two methods have one name or no common case,
    a measure is not known, or runs were not scored alike (`check_comparable`).
    """
    _check(methods, measures)
    notes = check_comparable(methods)
    first, tests, changes = methods[0], [], []
    for other in methods[1:]:
        common = [case for case in first.cases if case in set(other.cases)]
        if not common:
            problem = f"{first.name} and {other.name} have no case in common."
            raise ConfigError(problem, "Evaluate both on the same cases.")
        if apart := len(set(first.cases) ^ set(other.cases)):
            notes.append(f"{apart} cases are only in one of {first.name} and {other.name} and do not count there.")
        tests += _tests(first, other, common, measures)
        changes += _changes(first, other, common)[:most]
    spreads = {method.name: _spreads(method, measures) for method in methods}
    return Comparison(tuple(methods), spreads, tuple(_corrected(tests)), tuple(changes), tuple(notes))


def _check(methods: Sequence[Method], measures: Sequence[str]) -> None:
    if len(methods) < 2:
        raise ConfigError("There is nothing to compare with.", "Give two evaluations or more, the baseline first.")
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise ConfigError(f"Two methods have one name: {', '.join(names)}.", "Name them: NAME=FOLDER.")
    if unknown := [measure for measure in measures if measure not in DEFINITIONS]:
        raise ConfigError(f"There is no measure {unknown[0]!r}.", f"Use some of {', '.join(DEFINITIONS)}.")


def _tests(first: Method, other: Method, cases: Sequence[str], measures: Sequence[str]) -> list[PairedTest]:
    found = []
    for measure in measures:
        for target in (OVERALL, *first.runs[0].targets):
            mine, theirs = ([side.value(case, target, measure) for case in cases] for side in (other, first))
            if (difference := paired_difference(mine, theirs)) is not None:
                found.append(PairedTest(other.name, target, measure, difference, None))
    return found


def _corrected(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """The tests of means over targets, and those of single targets, are two families."""
    corrected: dict[int, float | None] = {}
    for overall in (True, False):
        places = [place for place, one in enumerate(tests) if (one.target == OVERALL) == overall]
        corrected |= dict(zip(places, holm([tests[place].difference.p_value for place in places]), strict=True))
    return [
        PairedTest(one.method, one.target, one.measure, one.difference, corrected[place])
        for place, one in enumerate(tests)
    ]


def _changes(first: Method, other: Method, cases: Sequence[str]) -> list[Change]:
    """Cases by how much their mean Dice changed; those that did not change are left out."""
    found = []
    for case in cases:
        before, after = (side.value(case, OVERALL, "dice") for side in (first, other))
        if before is not None and after is not None and before != after:
            found.append(Change(case, other.name, before, after, _most(first, other, case)))
    return sorted(found, key=lambda one: (-abs(one.difference), one.case))


def _most(first: Method, other: Method, case: str) -> str:
    def moved(target: str) -> float:
        before, after = (side.value(case, target, "dice") for side in (first, other))
        return abs(after - before) if before is not None and after is not None else -1.0

    return max((name for name, one in first.runs[0].targets.items() if one["in_mean"]), key=moved)


def _spreads(method: Method, measures: Sequence[str]) -> dict[str, Spread]:
    found = {}
    for measure in measures:
        interval = bootstrap_interval([method.value(case, OVERALL, measure) for case in method.cases])
        runs = tuple(run.means[measure] for run in method.runs if measure in run.means)
        if interval is not None and runs:
            found[measure] = Spread(interval, runs)
    return found
