"""report.json of a pair: what was registered, how, and how well."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...predict.batch.report import software
from ..affine import AffineResult
from ..grid import Grid
from ..metrics import Residual, inverse_consistency_mm
from ..metrics.folding import RIM
from ..transforms.transform import Transform, slabs
from .checks import Pair, Side
from .outcome import Score, Verdict
from .outputs import Result

FORMAT = 1
"""Raised when a key changes its meaning."""
_MOST_POINTS = 200_000
"""Voxels at which the inverse is measured, evenly spread."""


def residual_of(result: Result, pair: Pair) -> Residual | None:
    """How far the written inverse is from one, mm, at fixed voxels whose way stays inside both images.

    None where there is no such voxel.
    """
    fixed, moving = pair.fixed.image.grid, pair.moving.image.grid
    step = max(1, int(np.ceil((np.prod(fixed.shape) / _MOST_POINTS) ** (1 / 3))))
    kept = []
    for _, index in slabs(fixed.shape):
        points = fixed.world(index[(index % step == 0).all(axis=1)])
        moved = Transform(result.transform.fields).points(points)  # beyond its grid a field has no inverse
        kept.append(points[fixed.inside(moved) & moving.inside(result.transform.points(points))])
    points = np.concatenate(kept)
    return inverse_consistency_mm(result.transform, result.inverse, points) if len(points) else None


def deformation_of(result: Result, mask: NDArray[np.bool_] | None) -> dict[str, Any]:
    """Folding, the spread of the Jacobian and how far voxels move, in the fixed mask where there is one.

    Folding in percent, without a rim of two voxels; SDlogJ of the whole map, affine included, J cut at 1e-9.
    """
    inner = tuple(slice(min(RIM, (n - 1) // 2), n - min(RIM, (n - 1) // 2)) for n in result.jacobian.shape)
    values = result.jacobian[inner] if mask is None else result.jacobian[inner][mask[inner]]
    content: dict[str, Any] = {"folding_percent": 0.0, "sdlogj": 0.0, "jacobian": {}}
    if values.size:
        content["folding_percent"] = float(100 * np.mean(values <= 0))
        content["sdlogj"] = float(np.std(np.log(np.maximum(values, 1e-9))))
        ends = np.percentile(values, (0, 1, 50, 99, 100)).tolist()
        content["jacobian"] = dict(zip(("min", "p1", "median", "p99", "max"), ends, strict=True))
    moved = [_lengths(field.displacement, field.grid) for field in result.transform.fields]
    if moved:
        content["displacement_mm"] = {"mean": float(moved[0].mean()), "max": float(moved[0].max())}
    return content


def _lengths(displacement: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    return np.concatenate([np.linalg.norm(row.reshape(-1, 3) @ grid.affine[:3, :3].T, axis=1) for row in displacement])


def affine_json(found: AffineResult) -> dict[str, Any]:
    """The affine stage."""
    return {
        "start": found.start,
        "metric_before": found.metric_before,
        "metric_after": found.metric_after,
        "rejected": found.rejected,
        "matrix_ras": found.transform.matrix.tolist(),
        "determinant": float(np.linalg.det(found.transform.matrix[:3, :3])),
    }


def side_json(side: Side) -> dict[str, Any]:
    """One image and how it was seen."""
    grid = side.image.grid
    return {
        "path": str(side.image.path),
        "shape": list(grid.shape),
        "spacing_mm": list(grid.spacing),
        "affine_ras": grid.affine.tolist(),
        "dtype": side.image.data.dtype.name,
        "modality": side.scheme.modality,
        "why": side.scheme.reason,
        "scaled_from": [side.scheme.low, side.scheme.high],
        "mask": None if side.mask is None else str(side.mask.path),
        "labels": None if side.labels is None else str(side.labels.path),
    }


def report_of(
    pair: Pair, identity: Mapping[str, Any], scores: Sequence[Score], verdict: Verdict, found: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole report; `found`: what the stages add."""
    return {
        "format": FORMAT,
        "software": software(),
        "outcome": {
            "exit_code": verdict.exit_code,
            "kept": verdict.kept,
            "sentence": verdict.sentence,
            "judged_by": verdict.judge,
        },
        "fixed": side_json(pair.fixed),
        "moving": side_json(pair.moving),
        "scores": {score.stage: score.as_json() for score in scores},
        **found,
        "identity": dict(identity),
    }


def losses_json(losses: Sequence[Sequence[float]]) -> list[list[float]]:
    """The curves, level by level, with six digits."""
    return [[round(value, 6) for value in level] for level in losses]


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """As JSON that any program reads: not-a-number becomes null."""
    path.write_text(json.dumps(_plain(report), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
