"""A transform put to use: what the commands `register warp`, `points`, `jacobian` and `convert` do, file to file.

Each returns what other programs may want to know, for JSON. Nothing is written where something is refused.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import ConfigError, DataError
from .grid import Grid
from .images import Volume, read_image, read_labels, require_image_ending, write_image
from .points import Points, Space, read_points, require_ending, write_points
from .transforms.files import read, require_form
from .transforms.inverse import residual
from .transforms.transform import Transform
from .warping import jacobian, outside_share, warp_image, warp_labels

Interpolation = Literal["linear", "nearest", "label", "bspline"]
Direction = Literal["fixed-to-moving", "moving-to-fixed"]
_LEAST = 1e-9
"""Determinants are raised to this before the logarithm."""
_ANYWHERE = Grid((2, 2, 2), np.diag([200.0, 200.0, 200.0, 1.0]))
"""Where affine maps are compared that come without an image."""
_PARTLY = 0.5
"""Share of the reference that a field should at least cover."""


def warp(
    transform: Path,
    image: Path,
    reference: Path,
    out: Path,
    inverse: bool = False,
    interpolation: Interpolation = "linear",
    outside: float | None = None,
) -> dict[str, Any]:
    """Resample an image once, through a transform, onto the grid of another.

    inverse: bring a fixed image onto the moving one. "label": labels by linear shares (see `warp_labels`).
    outside: number where the image does not reach; None: its smallest, for labels 0.

    Raises DataError where a file cannot be used, or no voxel of the reference meets the image; ConfigError for options
    that cannot be.
    """
    require_image_ending(out)
    _require_apart(out, transform, image, reference)
    if interpolation == "label" and outside is not None:
        raise ConfigError("Labels have 0 where the image does not reach.", "Leave --pad-value out.")
    source = read_labels(image) if interpolation == "label" else read_image(image)
    target = read_image(reference)
    grids = (source.grid, target.grid) if inverse else (target.grid, source.grid)
    how = read(transform, inverse, *grids)
    warnings = [*source.warnings, *target.warnings, *_covering(how, target.grid, transform, reference)]
    share = outside_share(source.grid, how, target.grid)
    if share == 1:
        problem = f"No voxel of {reference} meets {image} through {transform}."
        raise DataError(problem, "Are --input and --reference the right way round? See --inverse.")
    if interpolation == "label":
        result = warp_labels(source, how, target.grid, "linear")
    else:
        result = warp_image(source, how, target.grid, interpolation, outside)
    write_image(result, out)
    return {
        "out": str(out), "shape": list(result.data.shape), "spacing_mm": list(result.grid.spacing),
        "dtype": result.data.dtype.name, "interpolation": interpolation, "outside_share": share,
        **_way_back(transform, inverse, how, grids, warnings), "warnings": warnings,
    }  # fmt: skip


def points(
    transform: Path,
    source: Path,
    out: Path,
    direction: Direction = "fixed-to-moving",
    space: Space = "lps",
    fixed: Path | None = None,
    moving: Path | None = None,
) -> dict[str, Any]:
    """Send landmarks of one image to the other.

    space: what the numbers of a .csv are, read and written. fixed, moving: the images whose voxels they count, or that
    a transform without a place of its own needs.

    Raises DataError where a file cannot be used, ConfigError for voxels without their images.
    """
    require_ending(out)
    _require_apart(out, transform, source)
    inverse = direction == "moving-to-fixed"
    grids = [None if image is None else read_image(image).grid for image in (fixed, moving)]
    before, after = reversed(grids) if inverse else grids
    if space == "voxel" and (before is None or after is None):
        raise ConfigError("Voxels need both images.", "Give --fixed and --moving, or points in mm (--space lps).")
    given = read_points(source, space, before)
    how = read(transform, inverse, *grids)
    sent = Points(how.points(given.ras), given.names)
    uncovered = int((~how.covers(given.ras)).sum())
    warnings = []
    if uncovered:
        warnings.append(f"{uncovered} of {len(given.ras)} points lie outside of the field and are not deformed by it.")
    write_points(sent, out, space, after)
    moved = np.linalg.norm(sent.ras - given.ras, axis=1)
    return {
        "out": str(out), "points": len(given.ras), "direction": direction, "space": space, "outside_field": uncovered,
        "mean_mm": float(moved.mean()), "largest_mm": float(moved.max()),
        **_way_back(transform, inverse, how, grids, warnings), "warnings": warnings,
    }  # fmt: skip


def write_jacobian(
    transform: Path, reference: Path, out: Path, logarithm: bool = False, inverse: bool = False
) -> dict[str, Any]:
    """Write the determinant of d(moving mm) / d(fixed mm) on the grid of the reference, float32, or its logarithm.

    For the logarithm, determinants below 1e-9 are raised to that. Raises DataError where a file cannot be used.
    """
    require_image_ending(out)
    _require_apart(out, transform, reference)
    target = read_image(reference)
    how = read(transform, inverse, target.grid, target.grid)
    warnings = [*target.warnings, *_covering(how, target.grid, transform, reference)]
    values = jacobian(how, target.grid)
    folded = int((values <= 0).sum())
    figures = {"least": float(values.min()), "mean": float(values.mean()), "largest": float(values.max())}
    if logarithm:
        np.log(np.maximum(values, _LEAST, out=values), out=values)
    write_image(Volume(values, target.grid), out)
    return {
        "out": str(out), "shape": list(values.shape), "logarithm": logarithm, "determinant": figures,
        "folded_voxels": folded, "folded_percent": 100 * folded / values.size, "warnings": warnings,
    }  # fmt: skip


def convert(
    transform: Path,
    form: str,
    out: Path,
    reference: Path | None = None,
    moving: Path | None = None,
    inverse: bool = False,
) -> dict[str, Any]:
    """Write a transform in another form (`files.FORMS`), and read that again to see how well the two agree.

    reference: the fixed image, on whose grid a field is written; None: the transform's own field's. moving: the moving
    image, for Learn2Reg's field where it has another grid. inverse: convert the inverse; the two images change places.

    Raises DataError where a file cannot be used, ConfigError for a form or an ending that is none, or where a form
    needs the fixed image.
    """
    way = require_form(form, out)
    _require_apart(out, transform, *(path for path in (reference, moving) if path))
    fixed_grid = None if reference is None else read_image(reference).grid
    moving_grid = None if moving is None else read_image(moving).grid
    how = read(transform, inverse, fixed_grid, moving_grid)
    start, end = (moving_grid, fixed_grid) if inverse else (fixed_grid, moving_grid)
    grid = start or (how.fields[0].grid if how.fields else None)
    warnings = []
    if grid is not None:
        warnings = _covering(how, grid, transform, reference or transform)
    elif form != "itk-h5":
        problem = f"{transform} is an affine map, which has no voxels to write a field on."
        raise ConfigError(problem, "Give the fixed image with --reference.")
    way.write(how, grid or _ANYWHERE, end, out)
    places = (grid or _ANYWHERE).some()
    apart = np.linalg.norm(read(out, False, grid, end).points(places) - how.points(places), axis=1)
    return {
        "out": str(out), "form": form, "shape": None if grid is None else list(grid.shape),
        "parts": [type(part).__name__.lower() for part in how.parts], "largest_difference_mm": float(apart.max()),
        **_way_back(transform, inverse, how, (fixed_grid, moving_grid), warnings), "warnings": warnings,
    }  # fmt: skip


def _covering(transform: Transform, grid: Grid, path: Path, reference: Path) -> list[str]:
    """A warning where fields cover little of a grid. DataError where they cover none of it: another image's, surely."""
    covered = float(transform.covers(grid.some()).mean())
    if covered == 0:
        problem = f"The field of {path} covers no voxel of {reference}."
        raise DataError(problem, "Is it the image that the transform starts from? See --inverse.")
    if covered < _PARTLY:
        text = f"{path}: its field covers {100 * covered:.0f} % of {reference}; the rest is not deformed."
        return [text]
    return []


def _way_back(
    path: Path, inverse: bool, how: Transform, grids: Any, warnings: list[str]
) -> dict[str, dict[str, float] | None]:
    """How good an inverse is that was computed here; None where none was. Warns above half a voxel."""
    if not inverse or path.is_dir() or not how.fields:
        return {"inverse_residual_mm": None}
    grid, forward = how.fields[-1].grid, read(path, False, *grids)
    mean, high = residual(forward, how, forward.points(grid.some()))
    if high > 0.5 * min(grid.spacing):
        warnings.append(
            f"{path}: its inverse was found by iteration and is off by {high:.2g} mm for 5 % of the voxels: the field "
            "folds, or leaves its grid."
        )
    return {"inverse_residual_mm": {"mean": mean, "p95": high}}


def _require_apart(out: Path, *inputs: Path) -> None:
    """Raise ConfigError where the output would take the place of an input."""
    if any(out.resolve() == path.resolve() for path in inputs):
        raise ConfigError(f"{out} is one of the inputs and would be replaced.", "Choose another name for --out.")
