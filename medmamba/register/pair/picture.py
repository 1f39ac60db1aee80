"""qc.png: before and after in three planes, the deformed grid and the Jacobian, for a look at one glance."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..grid import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))
_COLUMNS = ("fixed", "moving, at the start", "moving, warped", "before", "after", "deformed grid", "Jacobian")
_SQUARES = 8
"""Of the checkerboard, along the shorter side of a panel."""
_LINES = 22
"""Of the grid, along the shorter side."""
_RANGE = 1.0
"""Jacobians from 1 / 2 to 2 get a colour of their own."""


@dataclass(frozen=True, eq=False)
class View:
    """What is drawn, all on one grid whose axes lie closest to right, anterior, superior."""

    grid: Grid
    fixed: NDArray[np.float32]
    start: NDArray[np.float32]
    warped: NDArray[np.float32]
    """(X, Y, Z), 0..1."""
    displacement: NDArray[np.float32]
    """(X, Y, Z, 3), voxels: the deformable part alone."""
    jacobian: NDArray[np.float32]
    labels: tuple[NDArray[Any], NDArray[Any]] | None = None
    """Fixed ones and warped moving ones."""


def draw(view: View, title: str, path: Path) -> None:
    """Write the picture as PNG."""
    from matplotlib import style

    with style.context("default"):
        _figure(view, title).savefig(path, dpi=100)


def _figure(view: View, title: str) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    centre = _centre(view)
    panels = [_Panel(view, axis, centre[axis]) for _, axis in _PLANES]
    heights = [max(0.45, min(1.6, panel.height / panel.width)) for panel in panels]
    figure = Figure(figsize=(18, 1.0 + 2.55 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(_COLUMNS), gridspec_kw={"height_ratios": heights})
    for row, ((name, _), panel) in enumerate(zip(_PLANES, panels, strict=True)):
        shown = panel.draw(axes[row])
        axes[row, 0].text(-0.04, 0.5, name, rotation=90, va="center", ha="right", transform=axes[row, 0].transAxes)
    for column, name in enumerate(_COLUMNS):
        axes[0, column].set_title(name, fontsize=11)
    bar = figure.colorbar(shown, ax=axes[:, -1], shrink=0.6, ticks=[-1, 0, 1], extend="both")
    bar.ax.set_yticklabels(["1/2", "1", "2"])
    bar.set_label("black: folded", fontsize=9, labelpad=-4)
    figure.suptitle(title, fontsize=12, ha="left", x=0.01)
    return figure


def _centre(view: View) -> list[int]:
    """The voxel through which the planes go: the middle of the labels, else of what is bright in the fixed image."""
    weight = view.fixed > 0.1 if view.labels is None or not view.labels[0].any() else view.labels[0] > 0
    if not weight.any():
        return [size // 2 for size in view.grid.shape]
    return [round(float(places.mean())) for places in np.nonzero(weight)]


class _Panel:
    """One plane of a view, in pixels (vertical, horizontal), the patient's upper or anterior end on top."""

    def __init__(self, view: View, axis: int, at: int) -> None:
        self._view, self._axis, self._at = view, axis, at
        self._across, self._up = (other for other in range(3) if other != axis)
        spacing, shape = view.grid.spacing, view.grid.shape
        self.width, self.height = spacing[self._across] * shape[self._across], spacing[self._up] * shape[self._up]
        self._extent = (0.0, self.width, 0.0, self.height)

    def _cut(self, volume: NDArray[Any]) -> NDArray[Any]:
        return np.take(volume, self._at, self._axis).T

    def draw(self, axes: Any) -> Any:
        """Fill a row of axes; returns what the colour bar is of."""
        view = self._view
        fixed, start, warped = (self._cut(volume) for volume in (view.fixed, view.start, view.warped))
        for place, picture in zip(axes, (fixed, start, warped), strict=False):
            self._show(place, picture)
        self._show(axes[3], self._checkered(fixed, start))
        self._show(axes[4], self._checkered(fixed, warped))
        if view.labels is not None:
            self._outline(axes[0], view.labels[0], "tab:green")
            self._outline(axes[2], view.labels[0], "tab:green")
            self._outline(axes[2], view.labels[1], "tab:orange")
        self._show(axes[5], fixed, alpha=0.35)
        self._lines(axes[5])
        return self._jacobian(axes[6])

    def _show(self, axes: "Axes", picture: NDArray[Any], alpha: float = 1.0) -> None:
        how: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1, "origin": "lower", "interpolation": "nearest"}
        axes.imshow(picture, extent=self._extent, alpha=alpha, **how)
        axes.set_xticks([])
        axes.set_yticks([])

    def _outline(self, axes: "Axes", labels: NDArray[Any], colour: str) -> None:
        cut = self._cut(labels)
        for value in np.unique(cut[cut > 0]):
            if (mask := cut == value).any() and not mask.all():
                axes.contour(mask, [0.5], colors=colour, linewidths=1, extent=self._extent)

    def _checkered(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
        """Squares of the two in turn, as wide as high in mm."""
        edge = min(self.width, self.height) / _SQUARES
        rows = (np.arange(first.shape[0]) * self.height / first.shape[0] // edge).astype(int)
        columns = (np.arange(first.shape[1]) * self.width / first.shape[1] // edge).astype(int)
        return np.where((rows[:, None] + columns) % 2 == 0, first, second)

    def _lines(self, axes: "Axes") -> None:
        """Where lines of the fixed grid go, by the part of the displacement that lies in this plane."""
        from matplotlib.collections import LineCollection

        mm = np.array(self._view.grid.spacing)
        moved = self._cut(self._view.displacement.transpose(3, 0, 1, 2)[self._across]) * mm[self._across]
        raised = self._cut(self._view.displacement.transpose(3, 0, 1, 2)[self._up]) * mm[self._up]
        rows, columns = moved.shape
        x = (np.arange(columns) + 0.5) * mm[self._across] + moved
        y = (np.arange(rows) + 0.5)[:, None] * mm[self._up] + raised
        gap = min(self.width, self.height) / _LINES
        every_row, every_column = (max(1, round(gap / mm[axis])) for axis in (self._up, self._across))
        both = np.stack([x, y], -1)
        lines = [*both[::every_row], *both.transpose(1, 0, 2)[::every_column]]
        axes.add_collection(LineCollection(lines, colors="tab:blue", linewidths=0.6))
        axes.set_xlim(0, self.width)
        axes.set_ylim(0, self.height)

    def _jacobian(self, axes: "Axes") -> Any:
        cut = self._cut(self._view.jacobian)
        values = np.log2(np.where(cut > 0, cut, 1))
        how: dict[str, Any] = {"extent": self._extent, "origin": "lower", "interpolation": "nearest"}
        shown = axes.imshow(values, cmap="RdBu_r", vmin=-_RANGE, vmax=_RANGE, **how)
        folded = np.ma.masked_where(cut > 0, np.ones_like(cut))
        axes.imshow(folded, cmap="gray", vmin=1, vmax=2, **how)
        axes.set_xticks([])
        axes.set_yticks([])
        return shown
