"""Pairs of small volumes with known truth, as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

SHAPE = (24, 28, 22)
OBLIQUE = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.2, -0.1, 0.15) @ np.diag([-1.5, 1.2, 2.0]), [30.0, -20.0, 5.0]
)
"""An oblique, anisotropic grid whose first axis points to the left."""


def blobs(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightness 0..1 at points (N, 3) in mm: a body with four structures in it, the same in any grid."""
    body = 0.45 / (1 + np.exp((np.linalg.norm(points / [21.0, 13.0, 17.0], axis=1) - 1) * 12))
    places = [([6, 2, -4], 4.0, 0.45), ([-6, -4, 3], 5.0, 0.3), ([0, 6, 6], 3.0, -0.3), ([2, -7, -6], 3.5, 0.4)]
    for centre, width, height in places:
        body += height * np.exp(-(((points - centre) / width) ** 2).sum(axis=1))
    return np.clip(body, 0, 1)


def structures(points: NDArray[np.float64]) -> NDArray[np.int16]:
    """The label of each point: 1 and 2, two of the structures, else 0."""
    first = (((points - [6, 2, -4]) / 5) ** 2).sum(axis=1) < 1
    second = (((points - [-6, -4, 3]) / 6) ** 2).sum(axis=1) < 1
    return np.where(first, 1, np.where(second, 2, 0)).astype(np.int16)


def warped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth map of up to 3 mm with a small turn: where a fixed point (mm) lies in the moving image."""
    turn = nibabel.eulerangles.euler2mat(0.06, 0, -0.04)
    bend = 2.0 * np.stack([np.sin(points[:, 1] / 9), np.cos(points[:, 2] / 8), np.sin(points[:, 0] / 10)], axis=1)
    return points @ turn.T + bend + [1.0, -1.5, 0.5]


def grid_points(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """RAS mm of all voxels, (N, 3)."""
    index = np.indices(shape).reshape(3, -1).T
    return index @ affine[:3, :3].T + affine[:3, 3]


def centred(spacing: tuple[float, float, float], shape: tuple[int, int, int] = SHAPE) -> NDArray[np.float64]:
    """An affine with the patient's axes whose middle is the origin."""
    return nibabel.affines.from_matvec(np.diag(spacing), -np.array(spacing) * (np.array(shape) - 1) / 2)


def save(path: Path, data: NDArray[Any], affine: NDArray[np.float64] | None = None) -> Path:
    """Write a NIfTI file."""
    image = nibabel.Nifti1Image(data, centred((2.0, 1.8, 2.2)) if affine is None else affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def write(
    path: Path,
    of: Callable[[NDArray[np.float64]], NDArray[Any]] = blobs,
    affine: NDArray[np.float64] | None = None,
    shape: tuple[int, int, int] = SHAPE,
) -> Path:
    """Write a function of space, sampled on a grid: brightness as int16 0..1000, labels as they are."""
    affine = centred((2.0, 1.8, 2.2), shape) if affine is None else affine
    values = of(grid_points(shape, affine)).reshape(shape)
    return save(path, (1000 * values).astype(np.int16) if values.dtype.kind == "f" else values, affine)


def write_pair(folder: Path) -> dict[str, Path]:
    """A fixed image and a moving one that `warped` maps to, each with labels, on two different grids."""
    folder.mkdir(parents=True, exist_ok=True)
    other = centred((1.9, 2.1, 2.0), (27, 26, 25))
    back = _inverse(warped)
    how: dict[str, Any] = {"affine": other, "shape": (27, 26, 25)}
    return {
        "fixed": write(folder / "fixed.nii.gz"),
        "moving": write(folder / "moving.nii.gz", lambda points: blobs(back(points)), **how),
        "fixed_seg": write(folder / "fixed_seg.nii.gz", structures),
        "moving_seg": write(folder / "moving_seg.nii.gz", lambda points: structures(back(points)), **how),
    }


def _inverse(
    there: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """By fixed-point iteration."""

    def back(points: NDArray[np.float64]) -> NDArray[np.float64]:
        found = points.copy()
        for _ in range(30):
            found = found - 0.7 * (there(found) - points)
        return found

    return back
