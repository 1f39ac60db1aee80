"""Landmarks in and out: tables of numbers and 3D Slicer's markups."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..files import replacing
from .grid import FLIP, Grid
from .images import unwritable

Space = Literal["lps", "ras", "voxel"]
SPACES: tuple[Space, ...] = ("lps", "ras", "voxel")
ENDINGS = (".csv", ".fcsv", ".mrk.json")
_FCSV = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_FCSV_SPACES = {"0": "ras", "1": "lps", "ras": "ras", "lps": "lps"}
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


@dataclass(frozen=True, eq=False)
class Points:
    """Landmarks of one image."""

    ras: NDArray[np.float64]
    """(N, 3), mm."""
    names: tuple[str, ...] = ()
    """One a point, or none at all."""


def read_points(path: str | Path, space: Space = "lps", grid: Grid | None = None) -> Points:
    """Read landmarks from .csv, or from .fcsv and .mrk.json of 3D Slicer, which say themselves what their numbers are.

    .csv: a heading with x, y, z and maybe label, as ANTs has it; or three numbers a row (and a label), as Learn2Reg.
    space: what a .csv's numbers are: mm (left, posterior, superior or right, anterior, superior), or voxels of `grid`.

    Raises DataError, naming the file, where there is no point, or a row is no point; ConfigError for voxels without a
    grid.
    """
    path = Path(path).expanduser()
    name = path.name.lower()
    if not name.endswith(ENDINGS):
        raise DataError(f"{path} has no ending of a list of points.", f"Give one of {', '.join(ENDINGS)}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", "Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}.", "Write the points again.") from error
    if name.endswith(".mrk.json"):
        rows, names, space = _markups(text, path)
    elif name.endswith(".fcsv"):
        rows, names, space = _fiducials(text, path)
    else:
        rows, names = _table(text, path)
    if not rows:
        raise DataError(f"{path} holds no points.", "Give a row x,y,z for each point.")
    return Points(_to_ras(np.array(rows, np.float64), space, grid), names)


def write_points(points: Points, path: str | Path, space: Space = "lps", grid: Grid | None = None) -> None:
    """Write landmarks, whole or not at all, in the format of the ending; Slicer's in LPS mm, a .csv in `space`.

    Raises ConfigError for another ending and for voxels without a grid.
    """
    path = Path(path).expanduser()
    require_ending(path)
    name = path.name.lower()
    lps = points.ras @ FLIP
    if name.endswith(".mrk.json"):
        text = json.dumps(_as_markups(lps, points.names), indent=2) + "\n"
    elif name.endswith(".fcsv"):
        text = _as_fiducials(lps, points.names)
    else:
        text = _as_table(_from_ras(points.ras, space, grid), points.names)
    try:
        with replacing(path, durable=True) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise unwritable(path, error) from error


def require_ending(path: Path) -> None:
    """Raise ConfigError where points cannot be written to a file of this name."""
    if not path.name.lower().endswith(ENDINGS):
        raise ConfigError(f"{path} has no ending of a list of points.", f"Use one of {', '.join(ENDINGS)}.")


def _to_ras(numbers: NDArray[np.float64], space: Space, grid: Grid | None) -> NDArray[np.float64]:
    if space == "voxel":
        return _needed(grid).world(numbers)
    return numbers @ FLIP if space == "lps" else numbers


def _from_ras(ras: NDArray[np.float64], space: Space, grid: Grid | None) -> NDArray[np.float64]:
    if space == "voxel":
        return _needed(grid).index(ras)
    return ras @ FLIP if space == "lps" else ras


def _needed(grid: Grid | None) -> Grid:
    if grid is None:
        raise ConfigError("The points are voxels: of which image?", "Give the image whose voxels they count.")
    return grid


def _point(cells: Sequence[Any], path: Path, where: str) -> list[float]:
    try:
        numbers = [float(cell) for cell in cells]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        shown = ",".join(map(str, cells))[:60]
        raise DataError(f"{path}, {where}: {shown!r} is no point.", "A point is three numbers, x,y,z.")
    return numbers


def _table(text: str, path: Path) -> tuple[list[list[float]], tuple[str, ...]]:
    rows = [(number, row) for number, row in enumerate(csv.reader(text.splitlines()), 1) if any(map(str.strip, row))]
    columns, label = [0, 1, 2], 3
    if rows and not _is_number(rows[0][1][0]):
        heading = [cell.strip().lower() for cell in rows[0][1]]
        if missing := {"x", "y", "z"} - set(heading):
            problem = f"{path} has the heading {','.join(heading)!r} without {', '.join(sorted(missing))}."
            raise DataError(problem, "Name the columns x,y,z, or leave the heading out.")
        columns = [heading.index(axis) for axis in "xyz"]
        label = next((heading.index(word) for word in ("label", "name") if word in heading), -1)
        rows = rows[1:]
    points = [_point([row[c] for c in columns if c < len(row)], path, f"line {number}") for number, row in rows]
    names = tuple(row[label].strip() if 0 <= label < len(row) else "" for _, row in rows)
    return points, names if any(names) else ()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _fiducials(text: str, path: Path) -> tuple[list[list[float]], tuple[str, ...], Space]:
    space, heading = "ras", _FCSV.split(",")
    points, names = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            word, _, value = line[1:].partition("=")
            if word.strip().lower() == "coordinatesystem":
                space = value.strip().lower()
            elif word.strip().lower() == "columns":
                heading = [cell.strip() for cell in value.split(",")]
        elif line.strip():
            row = dict(zip(heading, next(csv.reader([line])), strict=False))
            points.append(_point([row[axis] for axis in "xyz" if axis in row], path, f"line {number}"))
            names.append(row.get("label", ""))
    return points, tuple(names) if any(names) else (), _known(_FCSV_SPACES.get(space, space), path)


def _markups(text: str, path: Path) -> tuple[list[list[float]], tuple[str, ...], Space]:
    try:
        markups = json.loads(text)["markups"]
        spaces = {str(one.get("coordinateSystem", "LPS")).lower() for one in markups}
        found = [point for one in markups for point in one["controlPoints"]]
        positions = [list(point["position"]) for point in found if point.get("positionStatus", "defined") == "defined"]
        names = [str(point.get("label", "")) for point in found if point.get("positionStatus", "defined") == "defined"]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        problem = f"{path} is no list of markups as 3D Slicer writes it ({type(error).__name__}: {error})."
        raise DataError(problem, "Save the points from Slicer again, or give a .csv.") from error
    if len(spaces) > 1:
        raise DataError(f"{path} mixes the spaces {', '.join(sorted(spaces))}.", "Save each list as its own file.")
    points = [_point(place, path, f"point {number}") for number, place in enumerate(positions, 1)]
    return points, tuple(names) if any(names) else (), _known(spaces.pop() if spaces else "lps", path)


def _known(space: str, path: Path) -> Space:
    if space == "lps":
        return "lps"
    if space == "ras":
        return "ras"
    raise DataError(f"{path} gives its points in {space!r}, not in LPS or RAS.", "Save them in LPS or RAS mm.")


def _as_table(numbers: NDArray[np.float64], names: Sequence[str]) -> str:
    rows: Iterable[list[str]] = ([f"{number:.6f}" for number in row] for row in numbers + 0.0)
    lines = [["x", "y", "z", *(["label"] if names else [])]]
    lines += [[*row, name] for row, name in zip(rows, names, strict=True)] if names else list(rows)
    return "".join(",".join(map(_quoted, line)) + "\n" for line in lines)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\n') else cell


def _as_fiducials(lps: NDArray[np.float64], names: Sequence[str]) -> str:
    lines = ["# Markups fiducial file version = 4.11", "# CoordinateSystem = LPS", f"# columns = {_FCSV}"]
    for number, (x, y, z) in enumerate(lps, 1):
        name = _quoted(names[number - 1] if names else f"P-{number}")
        lines.append(f"{number},{x:.6f},{y:.6f},{z:.6f},0,0,0,1,1,1,0,{name},,")
    return "\n".join(lines) + "\n"


def _as_markups(lps: NDArray[np.float64], names: Sequence[str]) -> dict[str, Any]:
    points = [
        {"id": str(number), "label": names[number - 1] if names else f"P-{number}", "position": place}
        for number, place in enumerate(lps.tolist(), 1)
    ]
    content = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    return {"@schema": _SCHEMA, "markups": [content]}
