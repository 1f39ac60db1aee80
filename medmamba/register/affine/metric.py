"""How well a linear map lays one image on another: the pair as ITK's images, and its metric."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..grid import Grid
from ..transforms.transform import Affine

_BINS = 32
_SAMPLED = 10_000
"""Voxels that the metric looks at while it is optimised: a random share where there are more."""
_WORK_UNITS = 4
"""Partial sums of the metric: a fixed number, so that the result does not depend on the machine's cores."""
_MOST = 1_500_000
"""Voxels of an image at most: of larger ones blocks are averaged. A linear map has few numbers to find."""


class Image(Protocol):
    """Voxels and where they lie, as `medmamba.register.images.Volume`."""

    @property
    def data(self) -> NDArray[Any]: ...

    @property
    def grid(self) -> Grid: ...


@dataclass(frozen=True, eq=False)
class Pair:
    """What is aligned, and by which metric."""

    fixed: Any
    moving: Any
    fixed_mask: Any
    moving_mask: Any
    same_modality: bool
    seed: int

    @classmethod
    def of(cls, fixed: Image, moving: Image, masks: Sequence[Image | None], same_modality: bool, seed: int) -> "Pair":
        """The pair, in fewer voxels where it is large. masks: fixed, moving. seed: of the voxels that are sampled."""
        fixed_mask, moving_mask = (_mask(mask) for mask in masks)
        return cls(_itk(fixed), _itk(moving), fixed_mask, moving_mask, same_modality, seed)._reduced()

    def method(self, factors: Sequence[int] = (1,)) -> Any:
        """A registration method with the metric set, for levels of these shrink factors."""
        method = sitk.ImageRegistrationMethod()
        if self.same_modality:
            method.SetMetricAsCorrelation()
        else:
            method.SetMetricAsMattesMutualInformation(_BINS)
        shares = [_SAMPLED * shrink**3 / self.fixed.GetNumberOfPixels() for shrink in factors]
        if min(shares) < 1:
            method.SetMetricSamplingStrategy(method.RANDOM)
            seed = self.seed + 1  # ITK takes 0 for the clock
            method.SetMetricSamplingPercentagePerLevel([min(share, 1.0) for share in shares], seed)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetNumberOfWorkUnits(_WORK_UNITS)
        if self.fixed_mask is not None:
            method.SetMetricFixedMask(self.fixed_mask)
        if self.moving_mask is not None:
            method.SetMetricMovingMask(self.moving_mask)
        return method

    def value(self, transform: Affine) -> float:
        """The metric: minus the squared correlation, or minus the mutual information; 0 where there is no overlap."""
        method = self.method()
        method.SetInitialTransform(transform.itk())
        try:
            return float(method.MetricEvaluate(self.fixed, self.moving))
        except RuntimeError:  # all samples map outside
            return 0.0

    def _reduced(self) -> "Pair":
        """The pair in fewer voxels where it is large: all of them count when maps are compared."""
        fixed, moving = (_factors(image) for image in (self.fixed, self.moving))
        if fixed == moving == [1, 1, 1]:
            return self
        masks = zip((self.fixed_mask, self.moving_mask), (fixed, moving), strict=True)
        fixed_mask, moving_mask = (None if mask is None else sitk.Shrink(mask, by) for mask, by in masks)
        images = {"fixed": sitk.BinShrink(self.fixed, fixed), "moving": sitk.BinShrink(self.moving, moving)}
        return replace(self, **images, fixed_mask=fixed_mask, moving_mask=moving_mask)

    def overlap(self, transform: Affine) -> float:
        """Share of a lattice over the fixed image that lies inside the moving image."""
        fixed, moving = Grid.of(self.fixed), Grid.of(self.moving)
        steps = [np.linspace(0, size - 1, 12) for size in fixed.shape]
        points = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
        return float(moving.inside(transform.points(fixed.world(points))).mean())


def _factors(image: Any) -> list[int]:
    """By how much each axis shrinks until few enough voxels are left; short axes stay."""
    factors = [1, 1, 1]
    while np.prod([size // factor for size, factor in zip(image.GetSize(), factors, strict=True)]) > _MOST:
        factors = [2 * f if size // f >= 24 else f for size, f in zip(image.GetSize(), factors, strict=True)]
    return factors


def _itk(image: Image) -> Any:
    array = np.ascontiguousarray(np.asarray(image.data, np.float32).transpose(2, 1, 0))
    return image.grid.stamp(sitk.GetImageFromArray(array))


def _mask(image: Image | None) -> Any:
    return None if image is None else sitk.Cast(_itk(image) > 0, sitk.sitkUInt8)


def shrinks(shape: Sequence[int]) -> list[int]:
    """4-2-1, less where the smallest axis would have under a dozen voxels."""
    return [factor for factor in (4, 2, 1) if factor == 1 or min(shape) // factor >= 12]
