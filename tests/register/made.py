"""Oblique anisotropic grids, smooth fields and images for the tests of registration's geometry."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from medmamba.register.grid import Grid
from medmamba.register.images import Volume
from medmamba.register.transforms.transform import Affine, Field, Transform
from tests.predict.made_images import affine

FIXED = Grid((17, 22, 14), affine((0.9, 1.3, 2.4), (12, -20, 33), (1, 0, 2), (1, -1, 1)))
"""Oblique, anisotropic, two axes swapped and one flipped."""


def _about(centre: np.ndarray, shape: tuple[int, int, int], matrix: np.ndarray) -> Grid:
    matrix = matrix.copy()
    matrix[:3, 3] = centre - matrix[:3, :3] @ (np.array(shape) - 1) / 2
    return Grid(shape, matrix)


MOVING = _about(FIXED.centre - (1.5, -1, 2), (23, 27, 20), affine((1.5, 0.9, 1.7), (-8, 15, 25), (0, 1, 2), (-1, 1, 1)))
"""Another grid over about the same place, left-handed."""


def noise(shape: Sequence[int], sigma: float = 2.0, seed: int = 0) -> np.ndarray:
    """Smooth random numbers between 0 and 1."""
    rough = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(rough, sigma)
    return (smooth - smooth.min()) / np.ptp(smooth)


def field(grid: Grid = FIXED, most: float = 1.5, seed: int = 0) -> Field:
    """A smooth field with displacements up to `most` voxels, zero at no border."""
    parts = [(2 * noise(grid.shape, 3, seed + axis) - 1) * most for axis in range(3)]
    return Field(np.stack(parts, axis=-1).astype(np.float32), grid)


def turn(seed: int = 0) -> Affine:
    """A rotation, scaling and shear of a few percent about the middle of the fixed grid, with a shift of some mm."""
    random = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] += random.uniform(-0.08, 0.08, (3, 3))
    matrix[:3, 3] = FIXED.centre - matrix[:3, :3] @ FIXED.centre + random.uniform(-2, 2, 3)
    return Affine(matrix)


def registration(seed: int = 0) -> Transform:
    """A field on the fixed grid and an affine map to the moving image."""
    return Transform((field(seed=seed), turn(seed)))


def image(grid: Grid = MOVING, dtype: type = np.float32, seed: int = 7) -> Volume:
    """A smooth image with values from 0 to 1000."""
    return Volume((noise(grid.shape, 1.2, seed) * 1000).astype(dtype), grid)


def labels(grid: Grid = MOVING, count: int = 5, seed: int = 3) -> Volume:
    """Blobs of labels 0, 3, 6, ..., as uint8."""
    scores = [gaussian_filter(np.random.default_rng(seed + one).normal(size=grid.shape), 1.5) for one in range(count)]
    return Volume((3 * np.argmax(scores, axis=0)).astype(np.uint8), grid)
