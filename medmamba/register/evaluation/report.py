"""Many pairs together: means with intervals, plain quantiles, differences to another run on the same pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import ConfigError
from ...evaluate.statistics import DRAWS, Difference, bootstrap_interval, paired_difference, quantiles
from ...files import read_json
from .scoring import DEFINITIONS, PairScore

FORMAT = "medmamba register evaluation 1"
"""First key of a report, by which it is known again."""

Values = Mapping[str, Mapping[str, float | None]]
"""Pair -> name of a figure -> its value."""


@dataclass(frozen=True)
class Run:
    """The figures of one method on some pairs."""

    name: str
    interpolation: str
    """How moving labels were warped."""
    values: Values


@dataclass(frozen=True)
class EvaluationReport:
    """Scores of all pairs, and how they compare."""

    scores: tuple[PairScore, ...]
    interpolation: str
    references: Mapping[str, Run] = field(default_factory=dict)
    """Name -> other transforms of the same pairs: before, affine, a baseline."""
    notes: tuple[str, ...] = ()

    def run(self, name: str = "this") -> Run:
        """The figures alone."""
        return Run(name, self.interpolation, {score.name: score.values() for score in self.scores})

    def figures(self) -> list[str]:
        """The names of all figures that any pair has, those of DEFINITIONS first."""
        names = {name: None for score in self.scores for name, value in score.values().items() if value is not None}
        return [*(name for name in DEFINITIONS if name in names), *(name for name in names if name not in DEFINITIONS)]

    def as_json(self) -> dict[str, Any]:
        """The report for report.json; `read_run` reads it again."""
        run = self.run()
        return {
            "format": FORMAT,
            "medmamba": __version__,
            "label_interpolation": self.interpolation,
            "definitions": DEFINITIONS,
            "interval": f"95 % percentile bootstrap over pairs, {DRAWS} draws",
            "summary": {name: summary(column(run.values, name)) for name in self.figures()},
            "differences": {name: differences(run, other) for name, other in self.references.items()},
            "notes": list(self.notes),
            "pairs": [score.as_json() for score in self.scores],
        }


def column(values: Values, name: str) -> list[float | None]:
    """One figure of all pairs, in their order."""
    return [figures.get(name) for figures in values.values()]


def summary(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean with its interval, number of pairs with a value, and percentiles."""
    interval = bootstrap_interval(values)
    return {**(asdict(interval) if interval else {"mean": None, "n": 0}), "quantiles": quantiles(values)}


def differences(run: Run, other: Run) -> dict[str, Any]:
    """Name of a figure -> `run` minus `other` over the pairs that both have; empty without common pairs."""
    common = [name for name in run.values if name in other.values]
    found: dict[str, Any] = {}
    for figure in {name: None for pair in common for name in run.values[pair]}:
        one = difference(run, other, figure)
        if one is not None:
            found[figure] = asdict(one)
    return found


def difference(run: Run, other: Run, figure: str) -> Difference | None:
    """The paired difference of one figure over the common pairs; None where none has both values."""
    common = [name for name in run.values if name in other.values]
    first, second = ([side.values[name].get(figure) for name in common] for side in (run, other))
    return paired_difference(first, second)


def read_run(path: Path) -> Run:
    """The figures in a report.json that `as_json` wrote. ConfigError where the file is none, or has no pairs."""
    content = read_json(path)
    try:
        if content["format"] != FORMAT or not isinstance(content["pairs"], list):
            raise ValueError("it is another kind of file")
        values = {str(pair["name"]): _figures(pair["values"]) for pair in content["pairs"]}
        return Run(path.stem, str(content["label_interpolation"]), values)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        problem = f"{path} is no report of medmamba register evaluate."
        raise ConfigError(problem, "Give the report.json of another run.") from error


def _figures(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: None if value is None else float(value) for name, value in values.items()}


def check_comparable(run: Run, other: Run, path: Path) -> str:
    """A sentence of what does not count in a comparison; ConfigError where nothing can be compared."""
    common = [name for name in run.values if name in other.values]
    if not common:
        raise ConfigError(f"{path} has none of these pairs.", "Evaluate the baseline on the same pairs.")
    if run.interpolation != other.interpolation:
        raise ConfigError(
            f"{path} warped labels by {other.interpolation}, this run by {run.interpolation}: that alone is worth a"
            " hundredth of Dice.",
            "Evaluate both with the same --label-interp.",
        )
    left = len(run.values) - len(common)
    return f"{left} of {len(run.values)} pairs are not in {path} and do not count in the differences." if left else ""
