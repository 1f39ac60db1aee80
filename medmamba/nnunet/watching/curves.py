"""progress.png: how a run goes, in one look."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...files import replacing
from .drawing import colour
from .history import NAME, read_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE = "progress.png"
_CLASSES = 8
"""Classes whose Dice gets a line of its own at most; more cannot be told apart."""
_TRAINING, _VALIDATION, _GREY = "#1f5fbf", "#d62f3f", "#666666"


def draw_progress(folder: Path, log: Mapping[str, Sequence[Any]]) -> None:
    """Write `progress.png` into a fold folder: loss, Dice, learning rate, and where the time went.

    Parameters
    ----------
    log: nnU-Net's lists, one value an epoch. Epochs that lack a value are not drawn.

    Names of classes and the time lost waiting for data come from the folder's history.jsonl, where it knows them. On a
    disk that cannot be written the older picture stays: training is not to end for that.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    done = min((len(values) for values in log.values()), default=0)
    if not done:
        return
    with style.context("default"), suppress(OSError), replacing(folder / FILE) as temporary:
        figure = Figure(figsize=(12, 8), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure, log, np.arange(1, done + 1), {row["epoch"]: row for row in read_history(folder / NAME)})
        figure.suptitle(f"{folder.parent.name}, {folder.name}: {done} epochs", fontsize=10, color=_GREY)
        figure.savefig(temporary, dpi=100)


def _draw(
    figure: "Figure", log: Mapping[str, Sequence[Any]], epochs: NDArray[Any], rows: Mapping[int, Mapping[str, Any]]
) -> None:
    """The four panels."""
    (loss, dice), (rate, time) = figure.subplots(2, 2)
    _draw_loss(loss, epochs, log)
    _draw_dice(dice, epochs, log, _names(rows))
    _line(rate, epochs, log["lrs"], _TRAINING, "learning rate")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    rate.set_ylim(bottom=0)
    _draw_time(time, epochs, log, rows)
    for panel, title in ((loss, "loss"), (dice, "Dice"), (rate, "learning rate"), (time, "seconds an epoch")):
        panel.set_title(title, loc="left", fontsize=11, fontweight="bold")
        panel.set_xlabel("epoch")
        panel.set_xlim(0.5, max(len(epochs), 2) + 0.5)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(color="0.9")
        panel.spines[["top", "right"]].set_visible(False)


def _draw_loss(panel: "Axes", epochs: NDArray[Any], log: Mapping[str, Sequence[Any]]) -> None:
    _line(panel, epochs, log["train_losses"], _TRAINING, "training")
    _line(panel, epochs, log["val_losses"], _VALIDATION, "validation")
    panel.legend(frameon=False)


def _draw_dice(
    panel: "Axes", epochs: NDArray[Any], log: Mapping[str, Sequence[Any]], names: Sequence[str] | None
) -> None:
    """Every class thin, their mean thick, nnU-Net's moving mean (which chooses the best checkpoint) thicker."""
    classes = np.array([np.atleast_1d(one) for one in log["dice_per_class_or_region"][: len(epochs)]], float)
    if 1 < classes.shape[1] <= _CLASSES:
        for number, values in enumerate(classes.T):
            name = names[number] if names and len(names) == classes.shape[1] else f"class {number + 1}"
            _line(panel, epochs, values, colour(number), name, width=1.0)
    _line(panel, epochs, log["mean_fg_dice"], _GREY, "mean", width=1.4)
    _line(panel, epochs, log["ema_fg_dice"], "black", "moving mean", width=2.4)
    panel.set_ylim(0, 1)
    panel.legend(frameon=False, fontsize=9)


def _draw_time(
    panel: "Axes", epochs: NDArray[Any], log: Mapping[str, Sequence[Any]], rows: Mapping[int, Mapping[str, Any]]
) -> None:
    count = len(epochs)
    ends, starts = (np.array(log[f"epoch_{name}_timestamps"][:count], float) for name in ("end", "start"))
    _line(panel, epochs, ends - starts, _TRAINING, "whole epoch")
    waited = [_waiting(rows.get(int(epoch), {})) for epoch in epochs]
    if np.isfinite(waited).any():
        panel.fill_between(epochs, 0, np.nan_to_num(waited), color=_VALIDATION, alpha=0.3, label="waiting for data")
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False)


def _waiting(row: Mapping[str, Any]) -> float:
    """Seconds of an epoch in which training waited for data; NaN where that is not known."""
    share, seconds = row.get("waited"), row.get("seconds")
    return float("nan") if share is None or seconds is None else share * seconds


def _names(rows: Mapping[int, Mapping[str, Any]]) -> list[str] | None:
    return next((list(row["dice"]) for row in rows.values() if row.get("dice")), None)


def _line(
    panel: "Axes", epochs: NDArray[Any], values: Sequence[Any], shade: str, label: str, width: float = 1.8
) -> None:
    """A line; a few epochs get dots, since a line of one point is not seen."""
    y = np.asarray(values[: len(epochs)], float)
    panel.plot(epochs, y, color=shade, linewidth=width, label=label, marker="o" if len(y) < 20 else "", markersize=3)
