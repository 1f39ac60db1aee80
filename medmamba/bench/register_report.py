"""What the registration benchmark found: one row a method, all on the same pairs."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluate.statistics import Difference, Interval, bootstrap_interval
from ..register.evaluation.report import Run, column, difference, differences, summary
from ..register.evaluation.scoring import PairScore
from .process_tree import MEASURE


@dataclass(frozen=True)
class Timing:
    """What one pair took."""

    name: str
    wall: float
    cpu: float
    """Seconds, all threads together."""
    note: str = ""
    """Of the method: whether it kept its start."""
    error: str = ""
    """Why the pair has no result."""


@dataclass(frozen=True)
class Row:
    """One method."""

    name: str
    about: str
    scores: tuple[PairScore, ...] = ()
    timings: tuple[Timing, ...] = ()
    similarity: Mapping[str, Mapping[str, float]] | None = None
    """Pair -> lncc and nmi of fixed and warped image where the fixed one is not zero; more is better."""
    peak: int = 0
    """Bytes of its process and all that it starts, libraries included."""
    absent: str = ""
    """Why it was not measured."""

    @property
    def failed(self) -> list[str]:
        """Pairs without a result: they are in no mean."""
        return [f"{one.name}: {one.error}" for one in self.timings if one.error]

    def run(self) -> Run:
        """Its figures: those of the evaluation, similarity and seconds."""
        similar = self.similarity or {}
        seconds = {one.name: {"wall_s": one.wall, "cpu_s": one.cpu} for one in self.timings if not one.error}
        return Run(
            self.name,
            "",
            {
                score.name: {**score.values(), **similar.get(score.name, {}), **seconds.get(score.name, {})}
                for score in self.scores
            },
        )

    def interval(self, figure: str) -> Interval | None:
        """Mean over pairs with its bootstrap interval."""
        return bootstrap_interval(column(self.run().values, figure))

    def extreme(self, figure: str, largest: bool) -> float | None:
        """Of the pair where it is largest, or smallest."""
        known = [value for value in column(self.run().values, figure) if value is not None]
        return (max if largest else min)(known) if known else None

    def seconds(self, kind: str) -> float | None:
        """Median over pairs of `wall` or `cpu` seconds; of several without the first, which loads libraries."""
        known = [getattr(one, kind) for one in self.timings if not one.error]
        return statistics.median(known[1:] or known) if known else None

    def against(self, other: "Row", figure: str) -> Difference | None:
        """This method minus the other, pair by pair."""
        return difference(self.run(), other.run(), figure)


@dataclass(frozen=True)
class RegisterReport:
    """All methods, and the machine they ran on."""

    about: dict[str, Any]
    preparation: str
    interpolation: str
    baseline: str
    rows: tuple[Row, ...]

    @property
    def reference(self) -> Row | None:
        """The method that others are compared with, where it has figures."""
        return next((row for row in self.rows if row.name == self.baseline and row.scores), None)

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        return {
            **self.about,
            "memory": MEASURE,
            "preparation": self.preparation,
            "label_interpolation": self.interpolation,
            "baseline": self.baseline,
            "methods": [self._row(row) for row in self.rows],
        }

    def _row(self, row: Row) -> dict[str, Any]:
        run, other = row.run(), self.reference
        figures = {name: None for values in run.values.values() for name in values}
        return {
            "name": row.name,
            "about": row.about,
            "absent": row.absent,
            "peak": row.peak,
            "seconds": {kind: row.seconds(kind) for kind in ("wall", "cpu")},
            "summary": {name: summary(column(run.values, name)) for name in figures},
            "differences": {} if other is None or other is row else differences(run, other.run()),
            "pairs": [{"name": name, "values": dict(values)} for name, values in run.values.items()],
            "timings": [asdict(one) for one in row.timings],
        }
