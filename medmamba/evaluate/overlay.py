"""A picture of a segmentation: the image in three planes with the outlines of truth and prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..files import replacing

_PLANES = ("axial", "coronal", "sagittal")
_COLOURS = ("tab:red", "tab:cyan", "tab:orange", "tab:green", "tab:purple", "tab:pink", "tab:olive", "tab:blue")


def draw_overlay(image: Path, prediction: Path, reference: Path, output: Path, title: str = "") -> None:
    """Write a PNG: image, with the reference's outlines solid and the prediction's dashed, one colour a label.

    The three planes cut the volume, in the file's own axes, through the centre of mass of the reference.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    volume, predicted, truth = (sitk.GetArrayFromImage(sitk.ReadImage(str(p))) for p in (image, prediction, reference))
    spacing = sitk.ReadImage(str(image)).GetSpacing()[::-1]  # (Z, Y, X), as the arrays
    labels = [int(value) for value in np.union1d(np.unique(predicted), np.unique(truth)) if value]
    centre = [round(c) for c in np.argwhere(truth > 0).mean(0)] if truth.any() else [n // 2 for n in truth.shape]
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    low, high = np.percentile(volume, (1, 99))
    for axis, (name, panel) in enumerate(zip(_PLANES, figure.subplots(1, 3), strict=True)):
        picture, p, r = (np.take(array, centre[axis], axis) for array in (volume, predicted, truth))
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
    with replacing(output) as temporary:
        figure.savefig(temporary, dpi=110)


def _outlines(panel: Any, labels: NDArray[Any], values: Sequence[int], style: str) -> None:
    for number, value in enumerate(values):
        mask = labels == value
        if mask.any() and not mask.all():
            panel.contour(mask, [0.5], colors=_COLOURS[number % len(_COLOURS)], linewidths=1.4, linestyles=style)
