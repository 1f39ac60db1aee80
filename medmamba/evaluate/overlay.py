"""A picture of a segmentation: the image in three planes with the outlines of truth and prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PLANES = ("axial", "coronal", "sagittal")
_COLOURS = ("tab:red", "tab:cyan", "tab:orange", "tab:green", "tab:purple", "tab:pink", "tab:olive", "tab:blue")


def draw_overlay(image: Path, prediction: Path, reference: Path, output: Path, title: str = "") -> None:
    """Write a PNG: image, with the reference's outlines solid and the prediction's dashed, one colour a label.

    The three planes cut the volume, in the file's own axes, through the centre of mass of the reference.
    """
    from matplotlib import style

    volume, predicted, truth = (sitk.GetArrayFromImage(sitk.ReadImage(str(p))) for p in (image, prediction, reference))
    spacing = sitk.ReadImage(str(image)).GetSpacing()[::-1]  # (Z, Y, X), as the arrays
    labels = [int(value) for value in np.union1d(np.unique(predicted), np.unique(truth)) if value]
    centre = [round(c) for c in np.argwhere(truth > 0).mean(0)] if truth.any() else [n // 2 for n in truth.shape]
    with style.context("default"), replacing(output) as temporary:  # nnU-Net changes the style for the whole process
        figure = _figure((volume, predicted, truth), spacing, centre, labels, title)
        figure.savefig(temporary, dpi=110)


def _figure(
    arrays: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    spacing: Sequence[float],
    centre: Sequence[int],
    labels: Sequence[int],
    title: str,
) -> "Figure":
    """Three panels of (image, prediction, reference), each (Z, Y, X), cut at `centre`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    low, high = np.percentile(arrays[0], (1, 99))
    for axis, (name, panel) in enumerate(zip(_PLANES, figure.subplots(1, 3), strict=True)):
        picture, p, r = (np.take(array, centre[axis], axis) for array in arrays)
        rows, columns = (step for other, step in enumerate(spacing) if other != axis)
        origin = "upper" if axis == 0 else "lower"
        panel.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=rows / columns, origin=origin)
        _outlines(panel, r, labels, "solid")
        _outlines(panel, p, labels, "dashed")
        panel.set_title(name)
        panel.set_axis_off()
    keys = [Line2D([], [], color="black", linestyle=style) for style in ("solid", "dashed")]
    figure.legend(keys, ["truth", "prediction"], loc="outside lower center", ncols=2)
    figure.suptitle(title)
    return figure


def _outlines(panel: Any, labels: NDArray[Any], values: Sequence[int], style: str) -> None:
    for number, value in enumerate(values):
        mask = labels == value
        if mask.any() and not mask.all():
            panel.contour(mask, [0.5], colors=_COLOURS[number % len(_COLOURS)], linewidths=1.4, linestyles=style)
