"""Outlines of label maps as paths of vector graphics, in millimetres."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_OFF = 0.12
"""Voxel edges by which a simplified outline may leave the exact one."""


def outline(mask: NDArray[np.bool_], rows: float, columns: float) -> str:
    """The path (SVG's `d`) around a mask (Y, X); empty for an empty mask.

    rows, columns: mm from one row, and one column, to the next. The upper left corner of the picture is 0, 0, the
    centre of its first voxel half a voxel from there; lines go half way between voxels in and out of the mask.
    """
    from skimage.measure import approximate_polygon, find_contours

    if not mask.any():
        return ""
    parts = []
    for line in find_contours(np.pad(mask.astype(np.float32), 1), 0.5):
        points = approximate_polygon(line, _OFF) - 0.5  # of the padding 1, and 0.5 to a voxel's centre
        parts.append(_path(points[:-1] * (rows, columns)))
    return "".join(parts)


def _path(points: NDArray[Any]) -> str:
    """A closed path through (row, column) in mm, in steps of a hundredth."""
    places = np.rint(points[:, ::-1] * 100).astype(np.int64)
    steps = np.diff(places, axis=0)
    start = f"M{_short(places[0, 0])} {_short(places[0, 1])}"
    return start + "l" + " ".join(f"{_short(x)} {_short(y)}" for x, y in steps) + "z"


def _short(hundredths: int) -> str:
    """123 -> 1.23, 100 -> 1, without what SVG does not need."""
    text = f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
