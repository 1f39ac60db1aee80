"""How much a field bends: what regularises a registration."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor


def _spacing(field: Tensor, spacing: Sequence[float] | None) -> Sequence[float]:
    return [1.0] * (field.dim() - 2) if spacing is None else spacing


def diffusion(field: Tensor, spacing: Sequence[float] | None = None, norm: Literal["l1", "l2"] = "l2") -> Tensor:
    """Mean over the axes of the mean squared (l1: absolute) forward difference of a field.

    VoxelMorph's gradient loss. With `spacing` (mm) the field's voxels become mm, and so do the steps: a rate of change
    without unit that does not depend on the grid.

    field: (B, D, *spatial) in voxels, component c along array axis c. Raises nothing; an axis of one voxel counts as 0.
    """
    steps = _spacing(field, spacing)
    scale = torch.tensor(steps, dtype=field.dtype, device=field.device).view(1, -1, *[1] * (field.dim() - 2))
    terms = []
    for axis, step in enumerate(steps, start=2):
        rate = torch.diff(field * scale, dim=axis) / step
        size = rate.abs() if norm == "l1" else rate**2
        terms.append(size.mean() if size.numel() else field.new_zeros(()))
    return torch.stack(terms).mean()


def bending(field: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Bending energy (Rueckert et al. 1999): mean squared second difference, mixed ones twice; 0 for any affine field.

    field: (B, D, *spatial) in voxels, each axis of three voxels or more. `spacing` (mm): in mm, so 1/mm.
    """
    steps = _spacing(field, spacing)
    scale = torch.tensor(steps, dtype=field.dtype, device=field.device).view(1, -1, *[1] * (field.dim() - 2))
    field = field * scale
    total = field.new_zeros(())
    for i, first in enumerate(steps):
        for j, second in enumerate(steps[i:], start=i):
            bend = torch.diff(torch.diff(field, dim=2 + i), dim=2 + j) / (first * second)
            total = total + (1 if i == j else 2) * (bend**2).mean()
    return total
