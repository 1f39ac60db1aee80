"""From coarse to fine: the grids a pair is deformed on, and the pair brought onto one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from .fields import smooth
from .sides import Sides

_FINEST = 1_500_000
"""Voxels of the finest grid at most: a field is smooth, and half the resolution costs an eighth."""
_SMALLEST = 10
"""Voxels that an axis keeps on the coarsest grid."""

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Level:
    """One resolution."""

    sides: Sides
    """The pair, smoothed and resampled; `spacing` is that of this grid."""
    step: float
    """mm of a voxel's shortest edge."""

    @property
    def shape(self) -> Shape:
        """Voxels along each axis."""
        x, y, z = self.sides.fixed.shape[2:]
        return x, y, z


def _shape(sides: Sides, step: float) -> Shape:
    """Voxels of the grid whose edges are about `step` mm; an axis that is coarser already is left as it is."""
    full = tuple(sides.fixed.shape[2:])
    x, y, z = (
        max(min(size, _SMALLEST), round(size * spacing / max(step, spacing)))
        for size, spacing in zip(full, sides.spacing, strict=True)
    )
    return x, y, z


def shapes(sides: Sides, count: int = 3) -> list[Shape]:
    """The grids' sizes, coarse to fine, voxels half as long each time; anisotropic voxels get cubic first."""
    finest = min(sides.spacing)
    while True:
        x, y, z = _shape(sides, finest)
        if x * y * z <= _FINEST:
            break
        finest *= 2 ** (1 / 3) if x * y * z <= 2 * _FINEST else 2
    steps = [finest * 2**level for level in reversed(range(count))]
    return list(dict.fromkeys(_shape(sides, step) for step in steps))


def down(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Resampled onto fewer voxels over the same field of view, smoothed before by 0.4 of a new voxel. (1, C, *s)."""
    full = x.shape[2:]
    if tuple(full) == tuple(shape):
        return x
    sigma = [0.4 * old / new if new < old else 0.0 for old, new in zip(full, shape, strict=True)]
    return F.interpolate(smooth(x, sigma), size=tuple(shape), mode="trilinear", align_corners=False)


def level(sides: Sides, shape: Shape) -> Level:
    """The pair on a grid of that size. Masks keep the voxels that are wholly inside; points move along."""
    full = sides.fixed.shape[2:]
    ratio = [new / old for old, new in zip(full, shape, strict=True)]
    x, y, z = (spacing / r for spacing, r in zip(sides.spacing, ratio, strict=True))

    def image(value: Tensor | None) -> Tensor | None:
        return None if value is None else down(value, shape)

    def mask(value: Tensor | None) -> Tensor | None:
        return None if value is None else (down(value, shape) > 0.99).to(value.dtype)

    def points(value: Tensor | None) -> Tensor | None:
        return None if value is None else (value + 0.5) * value.new_tensor(ratio) - 0.5

    small = replace(
        sides,
        fixed=down(sides.fixed, shape),
        moving=down(sides.moving, shape),
        spacing=(x, y, z),
        fixed_mask=mask(sides.fixed_mask),
        moving_mask=mask(sides.moving_mask),
        fixed_labels=image(sides.fixed_labels),
        moving_labels=image(sides.moving_labels),
        fixed_points=points(sides.fixed_points),
        moving_points=points(sides.moving_points),
        fixed_features=image(sides.fixed_features),
        moving_features=image(sides.moving_features),
    )
    return Level(small, min(small.spacing))
