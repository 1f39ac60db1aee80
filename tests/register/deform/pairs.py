"""Pairs with a known truth for the tests of deformation."""

import torch

from medmamba.register.deform.fields import exponential, sample, smooth
from medmamba.register.deform.sides import Sides


def noise(seed, shape, sigma, channels=1):
    generator = torch.Generator().manual_seed(seed)
    return smooth(torch.randn(1, channels, *shape, generator=generator), [sigma] * 3)


def image(shape, seed=0):
    """A smooth random image in 0..1 with structure at several scales."""
    blobs = sum(noise(seed + k, shape, sigma) * sigma**1.5 for k, sigma in enumerate((1.2, 2.5, 5.0)))
    return (0.5 + (blobs - blobs.mean()) / (4 * blobs.std())).clamp(0, 1)


def velocity(shape, most, seed=0, sigma=5.0):
    """A smooth random velocity that dies out towards the edge, and whose longest vector has `most` voxels."""
    field = noise(seed, shape, sigma, channels=3)
    for axis, size in enumerate(shape):
        taper = torch.sin(torch.pi * (torch.arange(size) + 0.5) / size)
        field = field * taper.view([-1 if a == axis else 1 for a in range(3)])
    return field * (most / field.norm(dim=1).max())


def known(shape=(32, 36, 28), most=3.0, seed=0):
    """(sides, truth): the fixed image is the moving one read through the truth."""
    moving, truth = image(shape, seed), exponential(velocity(shape, most, seed + 100))
    return Sides(sample(moving, truth), moving, (1.0, 1.0, 1.0)), truth
