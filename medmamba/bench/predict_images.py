"""Images made in code that cost what real ones cost: a CT of the body, a brain in several MR sequences."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from ..data.phantoms import phantom
from ..files import replacing

_AIR, _FAT, _SOFT, _BONE = -1000.0, -100.0, 40.0, 400.0
_NOISE = 15.0
"""Standard deviation of a CT's noise, HU."""
_ORGANS, _TUMOURS = 24, 3
_BRAIN = 0.7
"""Extent of the brain within its image, of each axis: the rest is zero, as after skull-stripping."""


def ct(shape: Sequence[int], seed: int = 0) -> NDArray[np.int16]:
    """A body in air, in Hounsfield units: fat around soft tissue, organs, vertebrae, two lungs; (Z, Y, X)."""
    random = np.random.default_rng(seed)
    volume = np.full(tuple(shape), _AIR, np.int16)
    _paint(volume, (0.5, 0.5, 0.5), (9.0, 0.38, 0.46), _FAT)
    _paint(volume, (0.5, 0.5, 0.5), (9.0, 0.34, 0.42), _SOFT)
    for _ in range(_ORGANS):
        centre = (random.uniform(0.05, 0.95), *random.uniform(0.32, 0.68, 2))
        _paint(volume, centre, tuple(random.uniform(0.03, 0.12, 3)), random.uniform(-20, 180))
    for side in (0.32, 0.68):
        _paint(volume, (0.95, 0.45, side), (0.3, 0.2, 0.13), -800.0)
    for level in np.arange(0.05, 1, 0.1):
        _paint(volume, (level, 0.74, 0.5), (0.04, 0.06, 0.06), _BONE)
    for row in volume:  # slice by slice: a large volume needs no second copy
        row[:] = np.clip(row + random.normal(0, _NOISE, row.shape), -1024, 3071)
    return volume


def brain(shape: Sequence[int], channels: int, seed: int = 0) -> list[NDArray[np.int16]]:
    """Skull-stripped MR of one head, zero around it: an array (Z, Y, X) for each channel, its own contrast in each."""
    random = np.random.default_rng(seed)
    radius = _BRAIN / 2
    places = [(tuple(random.uniform(0.38, 0.62, 3)), tuple(random.uniform(0.03, 0.1, 3))) for _ in range(_TUMOURS)]
    images = []
    for _ in range(channels):
        image = np.zeros(tuple(shape), np.int16)
        _paint(image, (0.5,) * 3, (radius,) * 3, random.uniform(300, 600))
        _paint(image, (0.5,) * 3, (radius * 0.8,) * 3, random.uniform(500, 900))
        for centre, radii in places:
            _paint(image, centre, radii, random.uniform(200, 1500))
        inside = image > 0
        image[inside] = np.maximum(1, image[inside] + random.normal(0, 40, int(inside.sum())))
        images.append(image)
    return images


def _paint(volume: NDArray[np.int16], centre: Sequence[float], radii: Sequence[float], value: float) -> None:
    """Give an ellipsoid a value; centre and radii as shares of the axes. Only its own box is looked at."""
    box, squares = [], []
    for axis, (size, middle, radius) in enumerate(zip(volume.shape, centre, radii, strict=True)):
        low, high = max(0, int((middle - radius) * size)), min(size, int((middle + radius) * size) + 1)
        box.append(slice(low, high))
        position = ((np.arange(low, high) + 0.5) / size - middle) / radius
        squares.append((position**2).reshape([-1 if axis == other else 1 for other in range(3)]))
    volume[tuple(box)][squares[0] + squares[1] + squares[2] <= 1] = value


def write_image(array: NDArray[np.int16], spacing: Sequence[float], file: Path) -> None:
    """Write an array (Z, Y, X) as NIfTI, `spacing` in mm in the same order."""
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    with replacing(file) as temporary:
        nibabel.save(nibabel.Nifti1Image(array.T, affine), temporary)


def write_ct(folder: Path, shape: Sequence[int], spacing: Sequence[float], seed: int = 0) -> None:
    """Write one CT as `folder`/ct_0000.nii.gz."""
    write_image(ct(shape, seed), spacing, folder / "ct_0000.nii.gz")


def write_brain(folder: Path, shape: Sequence[int], spacing: Sequence[float], channels: int, seed: int = 0) -> None:
    """Write one head as `folder`/brain_0000.nii.gz and on."""
    for channel, image in enumerate(brain(shape, channels, seed)):
        write_image(image, spacing, folder / f"brain_{channel:04d}.nii.gz")


def write_phantoms(folder: Path, shape: Sequence[int], spacing: Sequence[float], cases: int, seed: int = 0) -> None:
    """Write small phantoms `folder`/phantom_000_0000.nii.gz and on; sizes vary a little around `shape`."""
    import SimpleITK as sitk

    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for case in range(cases):
        sizes = [int(size + change) for size, change in zip(shape, random.integers(-4, 5, 3), strict=True)]
        made = phantom(seed * 1000 + case, (sizes[0], sizes[1], sizes[2]), (spacing[0], spacing[1], spacing[2]))
        sitk.WriteImage(made.as_images()[0], str(folder / f"phantom_{case:03d}_0000.nii.gz"))
