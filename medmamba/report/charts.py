"""Small charts as vector graphics that stretch with the page: distributions and curves.

Shapes are in a box of 1000 units that is stretched to the width at hand; lines keep their thickness, and texts are
HTML around it, so that nothing becomes too small to read on a telephone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH = 1000
HEIGHT = 36
"""Units of a strip."""
_MOST_DOTS = 4000
"""On a page; of more the boxes alone are drawn."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """A scale with round numbers."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Share of the way from the low to the high end, 0..1."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def text(self, tick: float) -> str:
        """A tick as it is written."""
        return f"{tick:.10g}"


@dataclass(frozen=True)
class Strip:
    """The values of one target."""

    name: str
    dots: str
    """SVG path; empty where there are too many dots on the page."""
    box: tuple[float, float, float] | None
    """Left end, right end, median, in units; None for fewer than four values."""
    whiskers: tuple[float, float] | None
    mean: tuple[float, float, float] | None
    """Low end, mean, high end of the 95 % interval, in units."""
    text: str
    """The same in words."""
    median: str


@dataclass(frozen=True)
class Distribution:
    """One measure of all targets."""

    title: str
    note: str
    axis: Axis
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Line:
    """One curve."""

    name: str
    path: str
    number: int
    """Which style of line it has, from 0 on."""
    last: str


@dataclass(frozen=True)
class Curves:
    """Curves over epochs."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    text: str


def axis(low: float, high: float, most: int = 6) -> Axis:
    """A scale from `low` to `high` or a little beyond, with at most so many ticks."""
    if high - low <= 1e-6 * max(1.0, abs(low), abs(high)):
        high = low + max(1.0, abs(low))
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in _STEPS if one * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(number * step, 12) for number in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def crowded(values: Sequence[Sequence[float]]) -> bool:
    """Whether a page has too many values to draw each as a dot."""
    return sum(map(len, values)) > _MOST_DOTS


def strip(
    name: str, values: Sequence[float], scale: Axis, interval: Sequence[float] | None, digits: int, dots: bool = True
) -> Strip:
    """Dots, a box from quartile to quartile with whiskers to the last value within 1.5 times its length, and the mean.

    `interval`: low end, mean, high end.
    """
    units = [scale.place(value) * WIDTH for value in values]
    low, middle, high = np.percentile(values, (25, 50, 75)).tolist() if values else (0.0, 0.0, 0.0)
    box = whiskers = None
    if len(values) >= 4:
        reach = 1.5 * (high - low)
        near = [value for value in values if low - reach <= value <= high + reach]
        box = (scale.place(low) * WIDTH, scale.place(high) * WIDTH, scale.place(middle) * WIDTH)
        whiskers = (scale.place(min(near)) * WIDTH, scale.place(max(near)) * WIDTH)
    mean = None
    if interval is not None:
        first, central, last = (scale.place(value) * WIDTH for value in interval)
        mean = first, central, last
    half = f"half of the {len(values)} cases from {low:.{digits}f} to {high:.{digits}f}"
    text = f"{name}: median {middle:.{digits}f}, {half}"
    path = "".join(f"M{x:.0f} {_height(number)}h0" for number, x in enumerate(units)) if dots else ""
    return Strip(
        name,
        path,
        box,
        whiskers,
        mean,
        text if values else f"{name}: no figure",
        f"{middle:.{digits}f}" if values else "-",
    )


def _height(number: int) -> int:
    """Dots are spread over the strip in a fixed pattern, so that equal values do not hide each other."""
    return 9 + (number * 5) % 13


def curves(title: str, lines: Sequence[tuple[str, Sequence[float | None]]], bottom: float | None = None,
           top: float | None = None) -> Curves | None:  # fmt: skip
    """Named sequences, one value an epoch; None where there is no number at all. None in a sequence is a gap."""
    numbers = [value for _, values in lines for value in values if value is not None]
    if not numbers:
        return None
    y = axis(min(numbers) if bottom is None else bottom, max(numbers) if top is None else top, 5)
    longest = max(len(values) for _, values in lines)
    x = Axis(1, max(2, longest), tuple(sorted({1.0, *(t for t in axis(0, longest, 5).ticks if 1 < t <= longest)})))
    drawn = []
    for number, (name, values) in enumerate(lines):
        known = [value for value in values if value is not None]
        if known:
            drawn.append(Line(name, _curve(values, x, y), number, f"{known[-1]:.3f}"))
    text = f"{title} over {longest} epochs: " + ", ".join(f"{line.name} ends at {line.last}" for line in drawn)
    return Curves(title, x, y, tuple(drawn), text)


def _curve(values: Sequence[float | None], x: Axis, y: Axis) -> str:
    path, pen = [], False
    for epoch, value in enumerate(values, 1):
        if value is None:
            pen = False
            continue
        path.append(f"{'L' if pen else 'M'}{x.place(epoch) * WIDTH:.1f} {(1 - y.place(value)) * WIDTH:.1f}")
        pen = True
    return "".join(path) + ("h0" if len(path) == 1 else "")
