"""Affine alignment with SimpleITK: several starts, the best one optimised, and the start kept where that fails."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk

from ...errors import ConfigError
from ..grid import Grid
from ..transforms.transform import Affine
from .metric import Image, Pair, shrinks
from .starts import INITS, Init, candidates, starts

Kind = Literal["none", "translation", "rigid", "similarity", "affine"]
KINDS: tuple[Kind, ...] = ("none", "translation", "rigid", "similarity", "affine")

_DOUBT = 0.01
"""By how much a turned start has to fit better than one that is not."""
_STEP = 0.3
"""First step of the optimiser, mm."""
_SMALLEST, _LARGEST = 0.5, 2.0
"""Determinants that a plausible affine map lies between."""
_OVERLAP = 0.5
"""Share of the start's overlap that a plausible map keeps."""


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


def _model(kind: Kind, centre: tuple[float, ...]) -> Any:
    if kind == "translation":
        return sitk.TranslationTransform(3)
    model = {"rigid": sitk.Euler3DTransform, "similarity": sitk.Similarity3DTransform, "affine": sitk.AffineTransform}
    transform = sitk.AffineTransform(3) if kind == "affine" else model[kind]()
    transform.SetCenter(centre)
    return transform


def _optimised(pair: Pair, kind: Kind, start: Affine, factors: Sequence[int]) -> Affine:
    """One kind of map, optimised from `start`: the fixed point meets it first, then the start."""
    grid = Grid.of(pair.fixed)
    centre = sitk.Image(pair.fixed).TransformContinuousIndexToPhysicalPoint([(s - 1) / 2 for s in grid.shape])
    model = _model(kind, centre)
    method = pair.method(factors)
    method.SetMovingInitialTransform(start.itk())
    method.SetInitialTransform(model, inPlace=True)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=_STEP, minStep=1e-3, numberOfIterations=60, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(factors))
    method.SetSmoothingSigmasPerLevel([s / 2 if s > 1 else 0 for s in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    try:
        method.Execute(pair.fixed, pair.moving)
    except RuntimeError:  # the images lost each other on the way
        return start
    return Affine(start.matrix @ Affine.from_itk(model).matrix)


def _ladder(kind: Kind) -> list[Kind]:
    """The kinds that are optimised one after the other: few parameters first."""
    return ["rigid", kind] if kind in ("similarity", "affine") else [kind]


def _implausible(pair: Pair, found: Affine, start: Affine) -> str | None:
    size = float(np.linalg.det(found.matrix[:3, :3]) / np.linalg.det(start.matrix[:3, :3]))
    if not _SMALLEST <= size <= _LARGEST:
        return f"it scales volumes by {size:.2f}, which is outside {_SMALLEST} to {_LARGEST}"
    before, after = pair.overlap(start), pair.overlap(found)
    if after < _OVERLAP * before:
        return f"it leaves {after:.0%} of the fixed image inside the moving one, from {before:.0%}"
    return None


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
    pair = Pair.of(fixed, moving, masks, same_modality, seed)
    if start is None and kind == "none" and init is None:
        init = "header"
    begun = {"given": start} if start is not None else starts(fixed, moving, masks, init)
    values = {name: pair.value(map_) for name, map_ in begun.items()}
    best = min(values, key=lambda name: values[name])
    kept = AffineResult(begun[best], values[best], values[best], best)
    if kind == "none":
        return kept
    return _improved(pair, kind, kept, candidates(pair, begun))


def _improved(pair: Pair, kind: Kind, kept: AffineResult, tried: list[tuple[str, Affine]]) -> AffineResult:
    """The best plausible map that a candidate leads to; the start where none is, or none fits better."""
    coarse = shrinks(Grid.of(pair.fixed).shape)[:1]
    found, problem = [], "no start led anywhere"
    for name, map_ in tried:
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
