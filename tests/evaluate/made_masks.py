"""Masks on which scores go wrong: structures, noise, single voxels, plates, whole grids, nothing."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
SPACINGS = ((1.0, 1.0, 1.0), (3.0, 0.7, 0.7), (0.5, 2.0, 1.25))


def pairs(count: int, seed: int = 0) -> Iterator[tuple[Mask, Mask, tuple[float, float, float]]]:
    """`count` pairs of masks of one grid with their spacing, (z, y, x), every kind against every other."""
    rng = np.random.default_rng(seed)
    kinds = (_blob, _noise, _voxel, _plate, _whole, _empty, _shell, _corner)
    for number in range(count):
        shape = tuple(rng.integers(1 if number % 9 == 0 else 4, 15, 3))
        first, second = kinds[number % len(kinds)], kinds[(number // len(kinds)) % len(kinds)]
        yield first(shape, rng), second(shape, rng), SPACINGS[number % len(SPACINGS)]


def _blob(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    centre, radius = rng.uniform(-0.4, 0.4, 3), rng.uniform(0.3, 0.9)
    return np.asarray(sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) < radius**2)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    return rng.random(shape) < rng.uniform(0.05, 0.7)


def _voxel(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    mask = np.zeros(shape, bool)
    mask[tuple(rng.integers(n) for n in shape)] = True
    return mask


def _plate(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    mask = np.zeros(shape, bool)
    mask[:, rng.integers(shape[1])] = True
    return mask


def _whole(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    return np.ones(shape, bool)


def _empty(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    return np.zeros(shape, bool)


def _shell(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    mask = np.ones(shape, bool)
    mask[1:-1, 1:-1, 1:-1] = False
    return mask


def _corner(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    mask = np.zeros(shape, bool)
    mask[: shape[0] // 2 + 1, : shape[1] // 3 + 1, -1:] = True
    return mask
