"""Where a displacement field folds, and how unevenly it changes volume.

A field is (X, Y, Z, 3) in voxels of its grid, component c along array axis c; the map is p -> p + u(p). Its Jacobian
determinant is the same in voxels and in mm. At the border of the grid central differences need a rule, and on a small
volume the rule decides the figure (19.3 % or 23.4 % folding of one and the same field of 12 x 16 x 20 voxels); so all
measures here leave out a rim of two voxels, which neither rule reaches.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RIM = 2
"""Voxels left out at each end of each axis. An axis with too few for that keeps its middle one or two."""
_LEAST = 1e-9
"""Determinants are raised to this before the logarithm."""
_AT_ONCE = 2**18
"""Voxels whose derivatives are held at a time."""
_L2R_ADDED = 3
"""Learn2Reg's script adds this to every determinant before it clips."""

Border = Literal["repeat", "one-sided"]


def jacobian_determinant(displacement: NDArray[Any], border: Border = "repeat") -> NDArray[np.float64]:
    """det(I + du/dx) in every voxel, (X, Y, Z), by central differences.

    `border`, in the outermost voxels: `repeat` the displacement beyond the grid, which halves the difference there, as
    MambaMorph's evaluation does; `one-sided` differences, as `numpy.gradient`. The inner voxels are the same.
    """
    u = np.asarray(displacement)
    if u.ndim != 4 or u.shape[3] != 3:
        raise ValueError(f"a field of shape {u.shape} is not (X, Y, Z, 3)")
    result = np.empty(u.shape[:3])
    many = max(1, _AT_ONCE // (u.shape[1] * u.shape[2]))
    for first in range(0, len(u), many):
        last = min(first + many, len(u))
        start = max(first - 1, 0)
        result[first:last] = _determinant(u[start : last + 1].astype(np.float64), border)[first - start :][
            : last - first
        ]
    return result


def _determinant(u: NDArray[np.float64], border: Border) -> NDArray[np.float64]:
    rows = [_difference(u, axis, border) for axis in range(3)]  # rows[a][..., c]: d u_c / d x_a
    a, b, c = (rows[axis] + np.eye(3)[axis] for axis in range(3))
    return np.asarray(np.einsum("...i,...i->...", a, np.cross(b, c)), np.float64)


def _difference(u: NDArray[np.float64], axis: int, border: Border) -> NDArray[np.float64]:
    n = u.shape[axis]
    after, before = np.minimum(np.arange(n) + 1, n - 1), np.maximum(np.arange(n) - 1, 0)
    steps = np.full(n, 2.0) if border == "repeat" else np.maximum(after - before, 1).astype(np.float64)
    shape = [n if a == axis else 1 for a in range(4)]
    return (u.take(after, axis) - u.take(before, axis)) / steps.reshape(shape)


def folding_percent(displacement: NDArray[Any], mask: NDArray[Any] | None = None, rim: int = RIM) -> float:
    """Percentage of the voxels with a determinant <= 0; in `mask` (X, Y, Z) where one is given. Without the rim.

    Not a number where no voxel is left. MambaMorph's own evaluation hands the components to a library that expects
    them in reverse order and keeps the rim: its published figures are those of another field.
    """
    return _folded(_kept(jacobian_determinant(displacement), mask, rim))


def sdlogj(displacement: NDArray[Any], mask: NDArray[Any] | None = None, rim: int = RIM) -> float:
    """Standard deviation of ln(max(J, 1e-9)) with the true determinant J, over the voxels of `folding_percent`."""
    return _spread(_kept(jacobian_determinant(displacement), mask, rim))


def sdlogj_l2r(displacement: NDArray[Any], mask: NDArray[Any] | None = None) -> float:
    """Learn2Reg's SDlogJ: of ln(max(J + 3, 1e-9)). The 3 makes folds hardly count; figures are several times smaller.

    Its rim is two voxels, its differences are the same inside. For comparison with published figures only.
    """
    return _spread(_kept(jacobian_determinant(displacement), mask, RIM) + _L2R_ADDED)


def field_figures(displacement: NDArray[Any], mask: NDArray[Any] | None = None) -> dict[str, float]:
    """`folding_percent`, `sdlogj` and `sdlogj_l2r` by these names, with the determinants computed once."""
    inside = _kept(jacobian_determinant(displacement), mask, RIM)
    return {
        "folding_percent": _folded(inside),
        "sdlogj": _spread(inside),
        "sdlogj_l2r": _spread(inside + _L2R_ADDED),
    }


def _folded(determinant: NDArray[np.float64]) -> float:
    return float(100 * np.mean(determinant <= 0)) if determinant.size else float("nan")


def _spread(determinant: NDArray[np.float64]) -> float:
    return float(np.std(np.log(np.maximum(determinant, _LEAST)))) if determinant.size else float("nan")


def _kept(determinant: NDArray[np.float64], mask: NDArray[Any] | None, rim: int) -> NDArray[np.float64]:
    """The determinants that count, in one row."""
    cuts = tuple(slice(cut, n - cut) for n in determinant.shape for cut in (min(rim, (n - 1) // 2),))
    inner = determinant[cuts]
    return inner.ravel() if mask is None else inner[np.asarray(mask, bool)[cuts]]
