"""Where an image's voxels lie in the patient, and how far apart two headers put them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.1
"""Voxel edges. Two headers that put every voxel at most this far apart differ by rounding: that covers an origin
rounded to 0.1 mm and a spacing rounded to four digits over 512 voxels, and is far below what a label map resolves."""
NOTED = 0.001
"""Voxel edges. Smaller differences are those of 32-bit numbers and are not mentioned."""
_RELATIVE, _ABSOLUTE = 1e-5, 1e-8
"""nnU-Net's readers compare spacings so, and stop when those of two channels differ by more."""


@dataclass(frozen=True)
class Geometry:
    """The grid of an image; its axes in the file's order (x, y[, z]), the patient's to right, anterior, superior."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    """Voxel size in mm."""
    origin: tuple[float, ...]
    """Place of the first voxel in mm."""
    direction: tuple[tuple[float, ...], ...]
    """Rows of the n x n matrix whose columns are the unit vectors along the file's axes."""

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(n, n): index to millimetres, without the origin."""
        return np.array(self.direction) * np.array(self.spacing)

    @property
    def axes(self) -> str:
        """The patient direction that each axis runs nearest to, "RAS" for example."""
        left, names = np.abs(np.array(self.direction)), []
        for column in range(len(self.shape)):
            row = int(left[:, column].argmax())
            names.append("RAS"[row] if self.direction[row][column] > 0 else "LPI"[row])
            left[row] = -1  # each patient axis once, also for grids at 45 degrees
        return "".join(names)


@dataclass(frozen=True)
class Difference:
    """How far two headers put the same voxel apart, at the voxel where it is farthest."""

    millimetres: float
    voxels: float
    """In units of the reference's smallest voxel edge."""
    spacing_refused: bool
    """Whether nnU-Net's readers call the spacings different."""

    @property
    def noted(self) -> bool:
        """Whether it is worth a word."""
        return self.spacing_refused or not self.voxels <= NOTED

    @property
    def real(self) -> bool:
        """Whether it is more than rounding."""
        return not self.voxels <= TOLERANCE


def from_lps(
    shape: Sequence[int], spacing: Sequence[float], origin: Sequence[float], direction: Sequence[float]
) -> Geometry:
    """A Geometry from ITK's terms, whose patient axes are left, posterior, superior; `direction` is flat."""
    count = len(shape)
    turn = np.array([-1.0, -1.0, 1.0][:count])
    rows = np.array(direction, np.float64).reshape(count, count) * turn[:, None]
    place = np.array(origin, np.float64) * turn
    return Geometry(tuple(shape), tuple(spacing), tuple(place.tolist()), tuple(map(tuple, rows.tolist())))


def difference(reference: Geometry, other: Geometry) -> Difference:
    """Compare two grids of the same shape.

    The distance between the two places of one voxel is a convex function of its index, so the farthest is a corner.
    """
    corners = np.array(list(product(*((0, size - 1) for size in reference.shape))), np.float64)
    apart = corners @ (reference.matrix - other.matrix).T + np.subtract(reference.origin, other.origin)
    millimetres = float(np.linalg.norm(apart, axis=1).max())
    refused = not np.allclose(reference.spacing, other.spacing, _RELATIVE, _ABSOLUTE)
    return Difference(millimetres, millimetres / min(reference.spacing), refused)


def describe(reference: Geometry, other: Geometry) -> str:
    """In which terms two grids differ: spacing, axes, angle, origin; each only where it does."""
    parts = []
    if not np.allclose(reference.spacing, other.spacing, _RELATIVE, _ABSOLUTE):
        parts.append(f"spacing {numbers(other.spacing)} against {numbers(reference.spacing)} mm")
    if other.axes != reference.axes:
        parts.append(f"axes {other.axes} against {reference.axes}")
    else:
        cosines = (np.array(reference.direction) * np.array(other.direction)).sum(0)
        if (angle := float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())) > 0.001:
            parts.append(f"axes turned by {angle:.3g} degrees")
    if (shift := float(np.linalg.norm(np.subtract(reference.origin, other.origin)))) > 0:
        parts.append(f"origin {shift:.3g} mm apart")
    return ", ".join(parts) or "the last digits of the headers"


def numbers(values: Sequence[float]) -> str:
    """(0.7, 0.7, 5.0) as "0.7 x 0.7 x 5"."""
    return " x ".join(f"{value:.7g}" for value in values)
