"""Random changes of a pair: affine maps, smooth velocity fields, other contrasts.

Each function draws from the generator that it is given and from nothing else, so that a place in a training run has
its own changes wherever it is taken up.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation
from torch import Tensor

from ..blocks.warp import integrate, resize_displacement

_COARSE = 4
"""Voxels between the nodes of a random velocity field."""
_SMOOTHNESS = (1.0, 3.0)
"""Standard deviation of the Gaussian that smooths it, in nodes: drawn between these."""
_KNOTS = 6
_TABLE = 256
_STEPS = 5


def random_affine(draw: np.random.Generator, rotation: float, scale: float, shift: float) -> NDArray[np.float64]:
    """An affine map (4, 4) about the origin: a turn by up to `rotation` degrees about each axis after a stretch of
    each axis by 1 - `scale` to 1 + `scale`, then a shift by up to `shift` (the unit of the coordinates) along each.
    """
    angles, stretch, away = draw.uniform(-1, 1, (3, 3))
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", rotation * angles, degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.diag(1 + scale * stretch)
    matrix[:3, 3] = shift * away
    return matrix


def random_field(draw: np.random.Generator, shape: Sequence[int], longest: float) -> Tensor:
    """A smooth displacement (1, 3, *shape) that folds nowhere: white noise, smoothed and integrated.

    `longest` is the length, in voxels, that the longest velocity has at most; its actual length is drawn below that.
    """
    nodes = [-(-size // _COARSE) for size in shape]
    smooth = draw.uniform(*_SMOOTHNESS)
    noise = draw.standard_normal((3, *nodes))
    field = np.stack([ndimage.gaussian_filter(one, smooth, mode="nearest") for one in noise])
    most = np.linalg.norm(field, axis=0).max()
    field *= draw.uniform(0, longest) / max(float(most), 1e-12)
    velocity = torch.from_numpy(field.astype(np.float32))[None] / _COARSE
    displacement = resize_displacement(integrate(velocity, _STEPS), _COARSE)
    x, y, z = shape
    return displacement[..., :x, :y, :z]


def random_curve(draw: np.random.Generator, rising: bool) -> NDArray[np.float32]:
    """A smooth curve from 0..1 to 0..1 as a table of 256 values: a rising one near the diagonal, or any."""
    if rising:
        knots = np.concatenate([[0.0], np.cumsum(draw.uniform(0.4, 1.6, _KNOTS - 1))])
        knots /= knots[-1]
        knots = knots * draw.uniform(0.8, 1.2)
    else:
        knots = draw.uniform(0, 1, _KNOTS)
    curve = PchipInterpolator(np.linspace(0, 1, _KNOTS), knots)(np.linspace(0, 1, _TABLE))
    return np.clip(curve, 0, 1).astype(np.float32)


def remapped(image: Tensor, curve: NDArray[np.float32]) -> Tensor:
    """An image of 0..1 with every value v replaced by curve(v)."""
    values = np.interp(image.numpy(), np.linspace(0, 1, len(curve), dtype=np.float32), curve)
    return torch.from_numpy(values.astype(np.float32))


def noisy(draw: np.random.Generator, image: Tensor, most: float) -> Tensor:
    """An image of 0..1 with white noise, of a standard deviation drawn up to `most`."""
    strength = draw.uniform(0, most)
    noise = draw.standard_normal(tuple(image.shape), dtype=np.float32)
    return (image + strength * torch.from_numpy(noise)).clamp_(0, 1)
