"""What ten lines of SimpleITK reach: affine, demons and B-splines with plain settings."""

from typing import Any

import SimpleITK as sitk

_BINS = 32
_ITERATIONS = 100
_DEMONS_ITERATIONS, _DEMONS_SIGMA = 80, 1.5
_MESH_MM = 12.0
"""mm between control points of the B-spline."""
_STEPS, _EVALUATIONS = 20, 30
"""Of the B-spline on each level: more of either costs minutes and changes little."""
_SHARE, _MOST = 0.2, 100_000
"""Voxels that mutual information looks at for a B-spline: a fifth, and no more than so many."""


def affine(fixed: Any, moving: Any, metric: str = "correlation") -> Any:
    """An affine transform from the middles of both images: correlation, or Mattes mutual information ("mi").

    Regular step gradient descent, 100 iterations on each of two levels (shrunk by 2 and smoothed by a voxel, whole).
    """
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = _method(metric)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, _ITERATIONS, gradientMagnitudeTolerance=1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SetInitialTransform(start, inPlace=True)
    return method.Execute(fixed, moving)


def demons(fixed: Any, moving: Any, start: Any) -> Any:
    """Fast symmetric forces demons after `start`, the moving image's histogram matched to the fixed one's."""
    warped = sitk.Resample(moving, fixed, start, sitk.sitkLinear, 0.0)
    matched = sitk.HistogramMatching(warped, fixed, 256, 7, True)
    method = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    method.SetNumberOfIterations(_DEMONS_ITERATIONS)
    method.SetSmoothDisplacementField(True)
    method.SetStandardDeviations(_DEMONS_SIGMA)
    field = sitk.Cast(method.Execute(fixed, matched), sitk.sitkVectorFloat64)
    return sitk.CompositeTransform([start, sitk.DisplacementFieldTransform(field)])


def bspline(fixed: Any, moving: Any, start: Any) -> Any:
    """A cubic B-spline after `start`: control points 12 mm apart, mutual information, L-BFGS-B on three levels."""
    extent = [size * spacing for size, spacing in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    mesh = [max(1, round(length / _MESH_MM)) for length in extent]
    spline = sitk.BSplineTransformInitializer(fixed, mesh, order=3)
    method = _method("mi")
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(_SHARE, _MOST / fixed.GetNumberOfPixels()), 1)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5, numberOfIterations=_STEPS, maximumNumberOfFunctionEvaluations=_EVALUATIONS
    )
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetMovingInitialTransform(start)
    method.SetInitialTransform(spline, inPlace=True)
    found = method.Execute(fixed, moving)
    return sitk.CompositeTransform([start, found])


def _method(metric: str) -> Any:
    method = sitk.ImageRegistrationMethod()
    if metric == "mi":
        method.SetMetricAsMattesMutualInformation(_BINS)
    else:
        method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    return method


def run(name: str, fixed: Any, moving: Any) -> Any:
    """The whole transform of a method by its name, fixed points to moving points (SimpleITK, LPS)."""
    start = affine(fixed, moving, "correlation" if name in ("sitk-affine", "sitk-demons") else "mi")
    if name.startswith("sitk-demons"):
        return demons(fixed, moving, start)
    return bspline(fixed, moving, start) if name == "sitk-bspline" else start
