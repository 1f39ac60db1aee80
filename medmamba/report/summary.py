"""What the page says of all cases together: headline, structures, distributions, what failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .charts import Distribution, axis, crowded, strip
from .names import Names
from .scores import HIGHER, MEASURES, Scores
from .table import NOT_SCORED, written

_HEADLINE = ("dice", "nsd", "hd95_mm")
_CHARTS = {
    "dice": "1 is full agreement.",
    "nsd": "Share of the surfaces within the tolerance of each other.",
    "hd95_mm": "Distance of the surfaces that 95 % of their points keep within; less is better.",
}

_BEYOND = " At the right end, beyond the scale: structures in one map alone, which count as the image's diagonal."


@dataclass(frozen=True)
class Figure:
    """A mean with its interval, as written."""

    name: str
    mean: str
    interval: str
    unit: str


@dataclass(frozen=True)
class Structure:
    """One row of the table of structures."""

    name: str
    note: str
    cases: int
    figures: tuple[Figure, ...]
    counts: tuple[int, ...]
    """Cases in which it was found, missed, invented, absent."""
    with_failures: str
    """Mean Dice with failed cases as 0; empty where none failed."""


@dataclass(frozen=True)
class Summary:
    """All of it."""

    scored: int
    headline: tuple[Figure, ...]
    structures: tuple[Structure, ...]
    measures: tuple[tuple[str, str], ...]
    """Names and units of the columns of structures."""
    charts: tuple[Distribution, ...]
    failures: tuple[tuple[str, str], ...]
    """Case and reason."""
    notes: tuple[str, ...]


def summary(scores: Scores, names: Names) -> Summary:
    """What metrics.json says of all cases; without it empty."""
    content = scores.content
    notes = tuple(str(one) for one in content.get("notes", ()))
    if names.hides and notes:
        notes = (f"{len(notes)} remark(s) of the evaluation may name files and are left out here.",)
    failures = tuple((names.shown(case), names.told(why, NOT_SCORED)) for case, why in scores.failures.items())
    if scores.run is None:
        return Summary(0, (), (), (), (), failures, notes)
    means = content.get("mean", {})
    headline = tuple(_figure(name, means.get(name)) for name in _HEADLINE if means.get(name))
    measures = scores.measures
    rows = tuple(_structure(name, one, measures) for name, one in content.get("targets", {}).items())
    columns = tuple((MEASURES[name][0], MEASURES[name][2]) for name in measures)
    charts = _charts(scores, content.get("targets", {}))
    return Summary(len(scores.cases), headline, rows if scores.cases else (), columns, charts, failures, notes)


def _figure(measure: str, found: Mapping[str, Any] | None) -> Figure:
    name, digits, unit = MEASURES[measure]
    if found is None:
        return Figure(name, "–", "", unit)
    interval = f"{found['low']:.{digits}f} to {found['high']:.{digits}f}" if found["n"] > 1 else ""
    return Figure(name, written(found["mean"], measure), interval, unit)


def _structure(name: str, one: Mapping[str, Any], measures: tuple[str, ...]) -> Structure:
    found, dice = one["measures"], one["measures"].get("dice")
    parts = [f"region of labels {', '.join(map(str, one['values']))}" if one["kind"] == "region" else ""]
    parts += [f"tolerance {one['nsd_tolerance_mm']:g} mm", "" if one["in_mean"] else "not in the mean"]
    worst = dice.get("failures_as_worst") if dice else None
    return Structure(
        name=name,
        note=", ".join(part for part in parts if part),
        cases=dice["n"] if dice else 0,
        figures=tuple(_figure(measure, found.get(measure)) for measure in measures),
        counts=tuple(one["detection"][key] for key in ("found", "missed", "invented", "absent")),
        with_failures="" if worst is None else written(worst, "dice"),
    )


def _charts(scores: Scores, targets: Mapping[str, Any]) -> tuple[Distribution, ...]:
    chosen = [name for name in _CHARTS if name in scores.measures]
    columns = {name: {target: scores.column(target, name) for target in scores.targets} for name in chosen}
    dots = not crowded([values for one in columns.values() for values in one.values()])
    charts = []
    for name in chosen:
        values = [value for one in columns[name].values() for value in one]
        near = values if name in HIGHER else _in_both(scores, name)
        scale = axis(min(0.9, *values), 1.0) if name in HIGHER else axis(0.0, max(near, default=1.0))
        title, digits, unit = MEASURES[name]
        note = _CHARTS[name] + (_BEYOND if max(values) > scale.high else "")
        strips = []
        for target, column in columns[name].items():
            found = targets[target]["measures"].get(name)
            interval = None if found is None or found["n"] < 2 else (found["low"], found["mean"], found["high"])
            strips.append(strip(target, column, scale, interval, digits, dots))
        charts.append(Distribution(f"{title}{' in ' + unit if unit else ''}", note, scale, tuple(strips)))
    return tuple(charts)


def _in_both(scores: Scores, measure: str) -> list[float]:
    """The figures of structures that prediction and reference have: others are penalties, and no distance."""
    pairs = [(case, target) for case in scores.cases for target in scores.targets if not scores.empty(case, target)]
    return [value for pair in pairs if (value := scores.value(*pair, measure)) is not None]
