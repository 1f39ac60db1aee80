"""Drawing one patch with truth and prediction, large enough to judge by eye."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...files import replacing
from .orientation import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (
    "#ff3b4e", "#35d0f2", "#ffe03a", "#46d860", "#ff9a3c", "#f264f0", "#7c93ff", "#bfef45",
    "#fabed4", "#2fb8a6", "#dcbeff", "#d08b4c",
)  # fmt: skip
"""One a class: bright, far apart from each other and from grey."""
_PANEL = 3.8
"""Inches of a panel's longer side."""
_LISTED = 12
"""Classes in the legend at most."""
_FILLED, _LINE = 0.16, 1.6
_GOLDEN = 0.618034


@dataclass(frozen=True)
class Sheet:
    """A cut through image, truth and prediction; all arrays (Y, X), already turned as they are shown."""

    image: NDArray[Any]
    """(Y, X) of one channel, or (Y, X, 3) in colour; NaN, shown black, where there is no image."""
    truth: NDArray[np.bool_]
    """(K, Y, X): one mask per class; they may overlap."""
    found: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    """(Y, X): False where the truth is not known."""
    names: Sequence[str]
    dice: Sequence[float | None]
    """Of the whole patch, one a class; None where there is nothing to find and nothing was found."""
    title: str
    channel: str
    view: View
    aspect: float
    """Height of a voxel over its width."""


def colour(number: int) -> str:
    """The colour of a class, the same in every picture."""
    if number < len(_COLOURS):
        return _COLOURS[number]
    hue, *rest = (number * _GOLDEN) % 1, 0.65, 0.95
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hsv_to_rgb(hue, *rest))


def draw_sheet(file: Path, sheet: Sheet) -> None:
    """Write a PNG of three panels: the image, the truth, and the prediction with the truth's outline dashed."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context("default"), replacing(file) as temporary:  # nnU-Net changes the style for the whole process
        height, width = sheet.image.shape[0] * sheet.aspect, sheet.image.shape[1]
        scale = _PANEL / max(height, width)
        figure = Figure(figsize=(3 * width * scale + 0.6, height * scale + 1.5), layout="constrained")
        FigureCanvasAgg(figure)
        plain, truth, found = figure.subplots(1, 3)
        for panel, name in ((plain, sheet.channel), (truth, "truth"), (found, "prediction (dashed: truth)")):
            _show_image(panel, sheet)
            panel.set_title(name, fontsize=10)
        _classes(truth, sheet.truth)
        _classes(found, sheet.found)
        for number, mask in enumerate(sheet.truth):
            _outline(found, mask, colour(number), "dashed")
        for panel in (plain, truth, found):
            panel.set(xlim=(-0.5, width - 0.5), ylim=(sheet.image.shape[0] - 0.5, -0.5))
        _sides(plain, sheet.view)
        _legend(figure, sheet)
        figure.suptitle(sheet.title, fontsize=11)
        figure.savefig(temporary, dpi=110)


def _show_image(panel: Any, sheet: Sheet) -> None:
    values = sheet.image[np.isfinite(sheet.image)]
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0.0, 1.0)
    scaled = np.nan_to_num(np.clip((sheet.image - low) / max(high - low, 1e-6), 0, 1))
    panel.imshow(scaled, cmap="gray", vmin=0, vmax=1, aspect=sheet.aspect, interpolation="bilinear")
    if not sheet.counted.all():
        unknown = np.zeros((*sheet.counted.shape, 4))
        unknown[~sheet.counted] = (0.5, 0.5, 0.5, 0.6)
        panel.imshow(unknown, aspect=sheet.aspect, interpolation="nearest")
    panel.set_axis_off()


def _classes(panel: Any, masks: NDArray[np.bool_]) -> None:
    """Each class lightly filled, with its outline."""
    for number, mask in enumerate(masks):
        if mask.any():
            panel.contourf(_framed(mask), [0.5, 1.5], colors=[colour(number)], alpha=_FILLED, **_place(mask))
            _outline(panel, mask, colour(number), "solid")


def _outline(panel: Any, mask: NDArray[np.bool_], shade: str, line: str) -> None:
    if mask.any():
        panel.contour(_framed(mask), [0.5], colors=[shade], linewidths=_LINE, linestyles=line, **_place(mask))


def _framed(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """With a border of background, so that what touches the edge is outlined as well."""
    return np.pad(mask.astype(float), 1)


def _place(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Where a framed mask lies in the picture."""
    return {"extent": (-1.5, mask.shape[1] + 0.5, -1.5, mask.shape[0] + 0.5)}


def _sides(panel: Any, view: View) -> None:
    """The letters of the body's sides at the edges."""
    places = ((0.03, 0.5), (0.97, 0.5), (0.5, 0.96), (0.5, 0.04))
    for letter, place in zip(view.sides or (), places, strict=False):
        panel.text(
            *place, letter, transform=panel.transAxes, color="white", ha="center", va="center", fontsize=9,
            bbox={"facecolor": "black", "alpha": 0.5, "pad": 1.5, "linewidth": 0},
        )  # fmt: skip


def _legend(figure: "Figure", sheet: Sheet) -> None:
    """Every class of the cut with its Dice, those of the patch elsewhere after them."""
    from matplotlib.patches import Patch

    seen = [bool(t.any() or f.any()) for t, f in zip(sheet.truth, sheet.found, strict=True)]
    order = sorted(range(len(seen)), key=lambda number: not seen[number])[:_LISTED]
    texts = [f"{sheet.names[n]} {'-' if (score := sheet.dice[n]) is None else f'{score:.3f}'}" for n in sorted(order)]
    keys = [Patch(facecolor=colour(n), edgecolor="black", linewidth=0.4) for n in sorted(order)]
    if len(seen) > len(order):
        texts.append(f"and {len(seen) - len(order)} more")
        keys.append(Patch(alpha=0))
    if not sheet.counted.all():
        texts.append("truth not known")
        keys.append(Patch(facecolor="0.5", linewidth=0))
    figure.legend(keys, texts, loc="outside lower center", ncols=min(4, len(keys)), fontsize=9, frameon=False)
