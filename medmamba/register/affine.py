"""Affine alignment with SimpleITK: several starts, the best one optimised, and the start kept where that fails."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import ConfigError
from .grid import Grid
from .transforms.transform import Affine

Kind = Literal["none", "translation", "rigid", "similarity", "affine"]
Init = Literal["none", "header", "center", "moments"]
KINDS: tuple[Kind, ...] = ("none", "translation", "rigid", "similarity", "affine")
INITS: tuple[Init, ...] = ("none", "header", "center", "moments")

_BINS = 32
_SAMPLED = 10_000
"""Voxels that the metric looks at while it is optimised: a random share where there are more."""
_WORK_UNITS = 4
"""Partial sums of the metric: a fixed number, so that the result does not depend on the machine's cores."""
_MOST = 1_500_000
"""Voxels of an image at most: of larger ones blocks are averaged. A linear map has few numbers to find."""
_DOUBT = 0.01
"""By how much a turned start has to fit better than one that is not."""
_STEP = 0.3
"""First step of the optimiser, mm."""
_TURN = np.deg2rad(15)
_KEPT = 2
"""Starts that are optimised; the others look worse already."""
_SMALLEST, _LARGEST = 0.5, 2.0
"""Determinants that a plausible affine map lies between."""
_OVERLAP = 0.5
"""Share of the start's overlap that a plausible map keeps."""


class Image(Protocol):
    """Voxels and where they lie, as `medmamba.register.images.Volume`."""

    @property
    def data(self) -> NDArray[Any]: ...

    @property
    def grid(self) -> Grid: ...


@dataclass(frozen=True)
class AffineResult:
    """The map found and what it is worth."""

    transform: Affine
    """Fixed RAS mm to moving RAS mm."""
    metric_before: float
    metric_after: float
    """Of the start and of `transform`, by the metric that was optimised; lower is better."""
    start: str
    """Where the optimisation began: the start's name."""
    rejected: str | None = None
    """Why the start was kept, in words; None where the optimised map was."""


@dataclass(frozen=True, eq=False)
class _Pair:
    fixed: Any
    moving: Any
    fixed_mask: Any
    moving_mask: Any
    same_modality: bool
    seed: int

    def method(self, shrinks: Sequence[int] = (1,)) -> Any:
        """A registration method with the metric set, for levels of these shrink factors."""
        method = sitk.ImageRegistrationMethod()
        if self.same_modality:
            method.SetMetricAsCorrelation()
        else:
            method.SetMetricAsMattesMutualInformation(_BINS)
        shares = [_SAMPLED * shrink**3 / self.fixed.GetNumberOfPixels() for shrink in shrinks]
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

    def reduced(self) -> "_Pair":
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


def _shift(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return matrix


def _centre_of_mass(image: Image, mask: Image | None) -> NDArray[np.float64]:
    weight = np.asarray(image.data, np.float64)
    weight = weight - weight.min()
    if mask is not None and image.grid.same_as(mask.grid):
        weight = weight * (mask.data > 0)
    total = weight.sum()
    if total <= 0:
        return image.grid.centre
    axes = [weight.sum(tuple(a for a in range(3) if a != axis)) @ np.arange(weight.shape[axis]) for axis in range(3)]
    return image.grid.world(np.array(axes) / total)[0]


def _turns(centre: NDArray[np.float64]) -> list[tuple[str, NDArray[np.float64]]]:
    """Rotations by 15 degrees about each axis, both ways, around `centre` (RAS mm)."""
    turns = []
    for axis, sign in product(range(3), (1, -1)):
        rotation = np.eye(4)
        a, b = (k for k in range(3) if k != axis)
        rotation[a, a] = rotation[b, b] = np.cos(_TURN)
        rotation[a, b], rotation[b, a] = -sign * np.sin(_TURN), sign * np.sin(_TURN)
        turns.append((f" {'+' if sign > 0 else '-'}15 deg {'RAS'[axis]}", _shift(centre) @ rotation @ _shift(-centre)))
    return turns


def _starts(fixed: Image, moving: Image, masks: Sequence[Image | None], init: Init | None) -> dict[str, Affine]:
    """The shifts that a registration may begin with, by name."""
    ways = {
        "header": lambda: np.zeros(3),
        "center": lambda: moving.grid.centre - fixed.grid.centre,
        "moments": lambda: _centre_of_mass(moving, masks[1]) - _centre_of_mass(fixed, masks[0]),
    }
    names = ways if init is None else ["header" if init == "none" else init]
    return {name: Affine(_shift(ways[name]())) for name in names}


def _model(kind: Kind, centre: tuple[float, ...]) -> Any:
    if kind == "translation":
        return sitk.TranslationTransform(3)
    model = {"rigid": sitk.Euler3DTransform, "similarity": sitk.Similarity3DTransform, "affine": sitk.AffineTransform}
    transform = sitk.AffineTransform(3) if kind == "affine" else model[kind]()
    transform.SetCenter(centre)
    return transform


def _optimised(pair: _Pair, kind: Kind, start: Affine, shrinks: Sequence[int]) -> Affine:
    """One kind of map, optimised from `start`: the fixed point meets it first, then the start."""
    grid = Grid.of(pair.fixed)
    centre = sitk.Image(pair.fixed).TransformContinuousIndexToPhysicalPoint([(s - 1) / 2 for s in grid.shape])
    model = _model(kind, centre)
    method = pair.method(shrinks)
    method.SetMovingInitialTransform(start.itk())
    method.SetInitialTransform(model, inPlace=True)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=_STEP, minStep=1e-3, numberOfIterations=60, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(shrinks))
    method.SetSmoothingSigmasPerLevel([s / 2 if s > 1 else 0 for s in shrinks])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    try:
        method.Execute(pair.fixed, pair.moving)
    except RuntimeError:  # the images lost each other on the way
        return start
    return Affine(start.matrix @ Affine.from_itk(model).matrix)


def _shrinks(shape: Sequence[int]) -> list[int]:
    """4-2-1, less where the smallest axis would have under a dozen voxels."""
    return [factor for factor in (4, 2, 1) if factor == 1 or min(shape) // factor >= 12]


def _ladder(kind: Kind) -> list[Kind]:
    """The kinds that are optimised one after the other: few parameters first."""
    return ["rigid", kind] if kind in ("similarity", "affine") else [kind]


def _implausible(pair: _Pair, found: Affine, start: Affine) -> str | None:
    size = float(np.linalg.det(found.matrix[:3, :3]) / np.linalg.det(start.matrix[:3, :3]))
    if not _SMALLEST <= size <= _LARGEST:
        return f"it scales volumes by {size:.2f}, which is outside {_SMALLEST} to {_LARGEST}"
    before, after = pair.overlap(start), pair.overlap(found)
    if after < _OVERLAP * before:
        return f"it leaves {after:.0%} of the fixed image inside the moving one, from {before:.0%}"
    return None


def _coarse(image: Any, factor: int) -> Any:
    smooth = sitk.SmoothingRecursiveGaussian(image, [factor / 2 * s for s in image.GetSpacing()])
    return sitk.Shrink(smooth, [factor] * 3)


def _candidates(pair: _Pair, starts: dict[str, Affine]) -> list[tuple[str, Affine]]:
    """The starts and their rotations that look best at low resolution, best first; the best unturned one always."""
    factor = _shrinks(Grid.of(pair.fixed).shape)[0]
    fixed, moving = (_coarse(image, factor) for image in (pair.fixed, pair.moving))
    coarse = replace(pair, fixed=fixed, moving=moving, fixed_mask=None, moving_mask=None)
    centre = Grid.of(pair.fixed).centre
    found = []
    for name, start in starts.items():
        turned = [(name + turn, Affine(start.matrix @ matrix)) for turn, matrix in _turns(centre)]
        found += [(coarse.value(map_), name_, map_) for name_, map_ in [(name, start), *turned]]
    found.sort(key=lambda entry: entry[0])
    plain = next(entry for entry in found if entry[1] in starts)
    kept = found[:_KEPT] if plain in found[:_KEPT] else [*found[: _KEPT - 1], plain]
    return [(name, map_) for _, name, map_ in kept]


def align(
    fixed: Image,
    moving: Image,
    kind: Kind = "affine",
    init: Init | None = None,
    same_modality: bool = True,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    start: Affine | None = None,
    seed: int = 0,
) -> AffineResult:
    """Align two images by a linear map, or keep the start where no better plausible one is found.

    Parameters
    ----------
    kind: of map; "similarity" and "affine" are optimised after "rigid". "none" returns the start.
    init: how to begin: "header" (or "none") trusts the coordinates, "center" lays the fields of view's middles on each
    other, "moments" the centres of mass; None tries all three. Each is also tried turned by 15 degrees about each axis.
    same_modality: the metric is correlation, else Mattes' mutual information with 32 bins.
    fixed_mask, moving_mask: the metric looks only there. start: a map to begin with, instead of `init`.
    seed: of the voxels the metric looks at.

    The same arguments give the same map. Raises ConfigError for a kind or init that does not exist.
    """
    if kind not in KINDS or init not in (None, *INITS):
        raise ConfigError(
            f"There is no affine {kind!r} with init {init!r}.", f"Use one of {', '.join(KINDS)}; {', '.join(INITS)}."
        )
    masks = (fixed_mask, moving_mask)
    pair = _Pair(_itk(fixed), _itk(moving), _mask(fixed_mask), _mask(moving_mask), same_modality, seed).reduced()
    if start is None and kind == "none" and init is None:
        init = "header"
    starts = {"given": start} if start is not None else _starts(fixed, moving, masks, init)
    values = {name: pair.value(map_) for name, map_ in starts.items()}
    best = min(values, key=lambda name: values[name])
    kept = AffineResult(starts[best], values[best], values[best], best)
    if kind == "none":
        return kept
    return _improved(pair, kind, kept, _candidates(pair, starts))


def _improved(pair: _Pair, kind: Kind, kept: AffineResult, candidates: list[tuple[str, Affine]]) -> AffineResult:
    """The best plausible map that a candidate leads to; the start where none is, or none fits better."""
    coarse = _shrinks(Grid.of(pair.fixed).shape)[:1]
    found, problem = [], "no start led anywhere"
    for name, map_ in candidates:
        for step in _ladder(kind):
            map_ = _optimised(pair, step, map_, coarse)
        implausible = _implausible(pair, map_, kept.transform)
        problem = implausible or problem
        if implausible is None:
            turned = " deg " in name  # a turn that is hardly better is more often wrong than right
            found.append((pair.value(map_) * (1 - _DOUBT * turned), name, map_))
    for _, name, map_ in sorted(found, key=lambda entry: entry[0]):
        fine = _optimised(pair, kind, map_, (1,))
        best = min((fine, map_), key=pair.value)
        value = pair.value(best)
        problem = _implausible(pair, best, kept.transform) or ""
        if not problem and value < kept.metric_before:
            return AffineResult(best, kept.metric_before, value, name)
        problem = problem or f"it does not fit better than the start ({value:.4f} against {kept.metric_before:.4f})"
    return replace(kept, rejected=f"The {kind} map was rejected: {problem}.")
