"""Target registration error: how far fixed landmarks land from their moving counterparts."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


class MapsPoints(Protocol):
    """A transform from fixed to moving points, RAS mm: `transforms.Transform` or anything with its `points`."""

    def points(self, ras: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) fixed points -> (N, 3) moving points, RAS mm."""


def tre_mm(
    transform: MapsPoints, fixed_points: NDArray[np.float64], moving_points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance in mm of each transformed fixed landmark from its moving counterpart, (N,); the field sampled linearly.

    Points (N, 3) in RAS mm. A transform maps fixed points to moving ones, so nothing is inverted here.
    """
    if fixed_points.shape != moving_points.shape:
        raise ValueError(f"{len(fixed_points)} fixed landmarks and {len(moving_points)} moving ones are no pairs")
    return np.asarray(np.linalg.norm(transform.points(fixed_points) - moving_points, axis=1), np.float64)


def tre_l2r_mm(
    displacement: NDArray[Any],
    fixed_points: NDArray[Any],
    moving_points: NDArray[Any],
    spacing: Sequence[float],
) -> NDArray[np.float64]:
    """The same as Learn2Reg computes it, (N,) in mm: points in *voxels*, the field sampled by *cubic* splines.

    `displacement`: (X, Y, Z, 3) in voxels of the one grid that fixed and moving share there.
    """
    if fixed_points.shape != moving_points.shape:
        raise ValueError(f"{len(fixed_points)} fixed landmarks and {len(moving_points)} moving ones are no pairs")
    places = np.asarray(fixed_points, np.float64)
    moved = [ndimage.map_coordinates(displacement[..., axis], places.T) for axis in range(displacement.shape[-1])]
    error = places + np.stack(moved, axis=1) - moving_points
    return np.asarray(np.linalg.norm(error * np.asarray(spacing), axis=1), np.float64)
