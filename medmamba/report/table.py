"""The table of all cases: rows for HTML, and the figures of every measure for the script that sorts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .names import Names
from .scores import HIGHER, MEASURES, OVERALL, Scores


@dataclass(frozen=True)
class Cell:
    """One figure."""

    text: str
    mark: str
    """missed, invented, in neither, or ""."""
    poor: bool
    """Whether it stands out among the cases."""


@dataclass(frozen=True)
class Row:
    """One case."""

    name: str
    anchor: str
    """Where its pictures are; empty without."""
    cells: tuple[Cell, ...]
    note: str
    failed: bool


@dataclass(frozen=True)
class Table:
    """All cases, failed ones first, then the worst first."""

    columns: tuple[str, ...]
    """Mean, then the targets; one target has no mean."""
    measures: tuple[str, ...]
    rows: tuple[Row, ...]
    data: Mapping[str, Any]
    """For the script: measures, and a list of [value, poor] by measure, column and row."""


def table(scores: Scores, names: Names, anchors: Mapping[str, str], unscored: Sequence[str] = ()) -> Table:
    """The table of an evaluation. `unscored`: cases with files and without any score, which are listed too."""
    columns = (OVERALL, *scores.targets) if len(scores.targets) > 1 else scores.targets
    measures = scores.measures
    order = [*scores.failures, *scores.cases, *unscored]
    rows = tuple(_row(scores, names, case, columns, measures[:1], anchors.get(case, "")) for case in order)
    data = {
        "measures": [
            {"key": key, "name": MEASURES[key][0], "digits": MEASURES[key][1], "unit": MEASURES[key][2],
             "higher": key in HIGHER} for key in measures
        ],
        "values": [[[_figure(scores, case, column, key) for case in order] for column in columns] for key in measures],
        "poor": [
            [[row for row, case in enumerate(order) if scores.stands_out(case, column, key)] for column in columns]
            for key in measures
        ],
        "marks": [[_MARKS.index(scores.empty(case, column)) for case in order] for column in columns],
        "words": _MARKS,
    }  # fmt: skip
    return Table(columns, measures, rows, data)


_MARKS = ["", "missed", "invented", "in neither"]


def _figure(scores: Scores, case: str, column: str, measure: str) -> float | None:
    value = scores.value(case, column, measure)
    return None if value is None else round(value, 4)


def _row(scores: Scores, names: Names, case: str, columns: Sequence[str], measures: Sequence[str], anchor: str) -> Row:
    failed = case in scores.failures
    cells = [_cell(scores, case, column, measure) for measure in measures for column in columns]
    note = f"Not scored: {names.told(scores.failures[case], NOT_SCORED)}" if failed else ""
    return Row(names.shown(case), anchor, tuple(cells), note, failed)


NOT_SCORED = "the reason may name files and is left out here"


def _cell(scores: Scores, case: str, column: str, measure: str) -> Cell:
    return Cell(
        written(scores.value(case, column, measure), measure),
        scores.empty(case, column),
        scores.stands_out(case, column, measure),
    )


def written(value: float | None, measure: str) -> str:
    """A figure with the digits of its measure."""
    return "–" if value is None else f"{value:.{MEASURES[measure][1]}f}"
