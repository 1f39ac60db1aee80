"""What of an evaluation may leave the house: figures over many cases, and none of a single one."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._version import __version__

if TYPE_CHECKING:
    from ..evaluate.targets import Target
    from .scoring import Scored

FORMAT = "medmamba site evaluation 1"
MEASURES = ("dice", "nsd", "hd95_mm", "volume_error_percent")
"""Of each label and region; with --lesion-wise those of lesions, too."""
LESIONS = ("lesion_dice", "lesion_hd95_mm")
_OF_MEANS = ("dice", "nsd", "hd95_mm")
_SHARES = ("dice", "nsd", "lesion_dice")
"""Between 0 and 1, told with three digits; mm and percent with one."""
_FAILED = {
    "dice": "0", "nsd": "0", "lesion_dice": "0", "hd95_mm": "the diagonal of the reference's image",
    "lesion_hd95_mm": "the diagonal of the reference's image", "volume_error_percent": "-100",
}  # fmt: skip


def few(least: int) -> str:
    """What stands for a number that too few cases are behind."""
    return f"fewer than {least}"


def counted(number: int, least: int) -> int | str:
    """A number of cases, as far as it may be told."""
    return number if number == 0 or number >= least else few(least)


def apart(number: int, least: int, told: Sequence[int]) -> int | str:
    """A number of cases, unless fewer than `least` are between it and a number that is told: these few would be."""
    near = next((one for one in told if 0 < abs(one - number) < least), None)
    return number if near is None else f"{few(least)} off {near}"


def aggregates(scored: "Scored", least: int) -> dict[str, Any]:
    """Per label and region mean, sd, median and 95 % bootstrap interval of each measure.

    least: cases in whose reference a label has to be for anything to be told of it; a case more or less could else be
    recognised. There are no extremes and no tables of cases whatever `least` is. From five figures of five cases the
    five could be worked out: below twice `least` there is the mean alone. The median of an odd number is one case's,
    whose voxels could be found from all digits of it: figures are rounded. With 1 everything is told.
    """
    from ..evaluate.case import DEFINITIONS, EMPTY
    from ..evaluate.statistics import DRAWS

    report = scored.report
    shown = [target for target in report.rules.targets if carriers(scored, target.name) >= least]
    measures = measures_of(scored)
    return {
        "definitions": {name: DEFINITIONS[name] for name in measures},
        "empty": {name: EMPTY[name] for name in ("both", "one", "volume_error_percent", "ignore")},
        "failures": {"counted_as": {name: _FAILED[name] for name in measures}, "in": "every label and region"},
        "interval": f"95 % percentile bootstrap over cases, {DRAWS} draws",
        "suppression": f"nothing is told of what {few(least)} cases have in their reference, "
        f"the mean alone of {few(2 * least)}",
        "cases": counted(len(report.scores) + len(report.failures), least),
        "failed": counted(len(report.failures), least),
        "mean": _means(scored, [target.name for target in shown if target.learnt], least),
        "targets": {target.name: _of_target(scored, target, target in shown, least) for target in report.rules.targets},
        "notes": list(report.rules.notes),
    }


def document(scored: "Scored", least: int, bundle: str | None) -> dict[str, Any]:
    """report.json, and results.yaml of a benchmark: the aggregates with the digest of the bundle and versions."""
    head = {"format": FORMAT, "medmamba": __version__, "versions": versions(), "bundle": bundle, "min_cases": least}
    return head | aggregates(scored, least)


def challenge(scored: "Scored", bundle: str | None) -> dict[str, Any]:
    """metrics.json of a challenge, whose organisers own the cases: results of each, and aggregates over all."""
    report = scored.report
    names = measures_of(scored)
    results: list[dict[str, Any]] = []
    for case, scores in report.scores.items():
        targets = {name: {one: score.values().get(one) for one in names} for name, score in scores.items()}
        results.append({"case": case, "failed": False, "targets": targets})
    for case in report.failures:
        worst = {one: worst_of(scored, case, one) for one in names}
        targets = {target.name: dict(worst) for target in report.rules.targets}
        results.append({"case": case, "failed": True, "targets": targets})
    head = {"medmamba": __version__, "versions": versions(), "bundle": bundle}
    return {"results": results, "aggregates": head | aggregates(scored, 1)}


def measures_of(scored: "Scored") -> tuple[str, ...]:
    """Those that were worked out, of those that may be told."""
    return MEASURES + LESIONS if scored.report.rules.lesions is not None else MEASURES


def carriers(scored: "Scored", target: str) -> int:
    """Scored cases in whose reference a target has a voxel."""
    return sum(scores[target].overlap.reference > 0 for scores in scored.report.scores.values())


def worst_of(scored: "Scored", case: str, measure: str) -> float:
    """What a failed case counts."""
    if measure == "volume_error_percent":
        return -100.0
    return scored.diagonal[case] if measure.endswith("hd95_mm") else 0.0


def _column(scored: "Scored", target: str, measure: str) -> list[float | None]:
    """One measure of one target in all cases, those that failed with the worst value."""
    worst = [worst_of(scored, case, measure) for case in scored.report.failures]
    return [*scored.report.column(target, measure), *worst]


def _of_target(scored: "Scored", target: "Target", shown: bool, least: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "kind": target.kind,
        "values": list(target.values),
        "in_mean": target.learnt and shown,
        "nsd_tolerance_mm": target.tolerance,
    }
    if not shown:
        return content | {"cases": few(least), "measures": None}
    measures, told = {}, [len(scored.report.scores) + len(scored.report.failures)]
    for name in measures_of(scored):
        measures[name] = summary = _summary(_column(scored, target.name, name), name, least, told)
        if summary is not None and isinstance(summary["n"], int):
            told.append(summary["n"])
    return content | {"measures": measures}


def _summary(
    column: Sequence[float | None], measure: str, least: int, told: Sequence[int]
) -> dict[str, float | int | str | None] | None:
    """Figures of one measure; None of too few cases. told: other numbers of cases that this one is compared with."""
    from ..evaluate.statistics import bootstrap_interval

    interval = bootstrap_interval(column)
    if interval is None or interval.n < least:
        return None
    values = [value for value in column if value is not None]
    figures = {
        "mean": interval.mean,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "median": statistics.median(values),
        "low": interval.low,
        "high": interval.high,
    }
    return {"n": apart(interval.n, least, told), **_safe(figures, measure, interval.n, least)}


def _safe(figures: Mapping[str, float | None], measure: str, number: int, least: int) -> dict[str, float | None]:
    """Figures of so many cases such that no case's own can be worked out from them; all of them where `least` is 1."""
    if least == 1:
        return dict(figures)
    digits = 3 if measure in _SHARES else 1
    rounded = {name: None if value is None else round(value, digits) for name, value in figures.items()}
    return rounded if number >= 2 * least else {name: rounded["mean"] if name == "mean" else None for name in rounded}


def _means(scored: "Scored", targets: Sequence[str], least: int) -> Mapping[str, Any]:
    """Of those targets alone that are told: the mean over all would give the others away."""
    import numpy as np

    from ..evaluate.statistics import mean_of_means

    found, cases = {}, len(scored.report.scores) + len(scored.report.failures)
    for measure in _OF_MEANS if targets else ():
        table = np.array([_column(scored, name, measure) for name in targets], np.float64).T
        if (interval := mean_of_means(table)) is not None:
            figures = {name: getattr(interval, name) for name in ("mean", "low", "high")}
            n = apart(interval.n, least, [cases])
            found[measure] = {"n": n, **_safe(figures, measure, interval.n, least)}
    return found


def versions() -> dict[str, str]:
    """Of the packages that scores depend on."""
    from importlib import metadata

    return {name: metadata.version(name) for name in ("torch", "numpy", "scipy", "nnunetv2", "SimpleITK", "nibabel")}
