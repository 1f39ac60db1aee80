"""Pairs made ready for all methods alike: intensities in [0, 1], and both images centred on one grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from ..errors import ConfigError
from ..register.evaluation.predictions import find_case
from ..register.evaluation.scoring import Truth
from ..register.grid import Grid
from ..register.images import Volume, read_image, read_labels, write_image
from ..register.pairs import Pair, case_name, read_pairs
from ..register.points import read_points
from .register_options import RegisterOptions

_ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd")
_PERCENTILES = (0.5, 99.5)
_MULTIPLE = 16
_ALIKE = 1e-3
"""mm by which the spacings of two images that are centred on one grid may differ."""


@dataclass(frozen=True, eq=False)
class Ready:
    """One pair as all methods get it: files, and what they are judged by."""

    name: str
    fixed: Path
    moving: Path
    labels: tuple[Path, Path] | None
    points: tuple[NDArray[np.float64], NDArray[np.float64]] | None

    def truth(self) -> Truth:
        """Labels and landmarks; without labels an empty map that only says where the fixed grid lies."""
        points = self.points or (None, None)
        if self.labels is not None:
            fixed, moving = map(read_labels, self.labels)
            return Truth(fixed, moving, None, *points)
        empty = [
            replace(image, data=np.zeros(image.grid.shape, np.uint8))
            for image in (read_image(self.fixed), read_image(self.moving))
        ]
        return Truth(empty[0], empty[1], (), *points)


@dataclass(frozen=True, eq=False)
class _Case:
    """One image with what belongs to it, on the grid that methods get."""

    image: Volume
    labels: Volume | None
    points: NDArray[np.float64] | None


def prepare(options: RegisterOptions, folder: Path) -> list[Ready]:
    """Write the pairs below `folder` and say where they are.

    Intensities are scaled by percentiles 0.5 and 99.5 to [0, 1]; with `remap` those of moving images then become
    sin(pi m)^2, smooth and not monotone: a stand-in for another modality with the same anatomy. Raises ConfigError
    where a case is absent or images with different voxels are to be centred.
    """
    pairs = read_pairs(options.pairs)[: options.limit]
    names = list(dict.fromkeys(case for pair in pairs for case in (pair.fixed, pair.moving)))
    cases = {name: _read(name, options) for name in names}
    if not options.own_grids:
        size = options.size or _common_size([case.image.grid for case in cases.values()])
        _require_one_spacing(pairs, cases)
        cases = {name: _centred(case, size) for name, case in cases.items()}
    return [_written(pair, cases, folder / pair.name, options.remap) for pair in pairs]


def remapped(scaled: NDArray[Any]) -> NDArray[np.float32]:
    """sin(pi m)^2 of intensities in [0, 1]: 0 -> 0, 0.5 -> 1, 1 -> 0."""
    return np.asarray(np.sin(np.pi * np.asarray(scaled, np.float64)) ** 2, np.float32)


def centred(data: NDArray[Any], size: Sequence[int]) -> NDArray[Any]:
    """`data` in the middle of an array of zeros of this size, cut where it is larger."""
    result = np.zeros(tuple(size), data.dtype)
    pairs = list(zip(data.shape, size, strict=True))
    source = tuple(slice(max((n - s) // 2, 0), max((n - s) // 2, 0) + min(n, s)) for n, s in pairs)
    target = tuple(slice(max((s - n) // 2, 0), max((s - n) // 2, 0) + min(n, s)) for n, s in pairs)
    result[target] = data[source]
    return result


def _read(name: str, options: RegisterOptions) -> _Case:
    """A case in the axis order closest to RAS, scaled to [0, 1]."""
    image = read_image(_find(options.images, name, "image", "--images"))
    low, high = np.percentile(image.data, _PERCENTILES)
    scaled = np.clip((image.data.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    labels = read_labels(_find(options.labels, name, "label map", "--labels")) if options.labels else None
    if labels is not None and not labels.grid.same_as(image.grid):
        raise ConfigError(f"{labels.path} is not on the grid of {image.path}.", "Bring it there first.")
    found = find_case(options.points, name, (".csv",))
    points = None if found is None else read_points(found, options.space, image.grid).ras  # type: ignore[arg-type]
    turned = [None if one is None else _canonical(one) for one in (replace(image, data=scaled), labels)]
    assert turned[0] is not None
    return _Case(turned[0], turned[1], points)


def _find(folders: Sequence[Path], name: str, what: str, option: str) -> Path:
    given = Path(name)
    found = given if given.is_file() and what == "image" else find_case(folders, name, _ENDINGS)
    if found is None:
        listed = " or ".join(map(str, folders)) or "no folder"
        raise ConfigError(f"There is no {what} of {case_name(name)} in {listed}.", f"Name its folder with {option}.")
    return found


def _canonical(volume: Volume) -> Volume:
    turn = io_orientation(volume.grid.affine)
    return Volume(np.ascontiguousarray(apply_orientation(volume.data, turn)), volume.grid.canonical(), volume.path)


def _common_size(grids: Sequence[Grid]) -> tuple[int, int, int]:
    x, y, z = (-(-n // _MULTIPLE) * _MULTIPLE for n in np.max([grid.shape for grid in grids], axis=0).tolist())
    return x, y, z


def _require_one_spacing(pairs: Sequence[Pair], cases: dict[str, _Case]) -> None:
    for pair in pairs:
        fixed, moving = (cases[case].image.grid.spacing for case in (pair.fixed, pair.moving))
        if not np.allclose(fixed, moving, rtol=0, atol=_ALIKE):
            raise ConfigError(
                f"Pair {pair.name} has voxels of {np.round(fixed, 3)} and {np.round(moving, 3)} mm: its images cannot"
                " be centred on one grid.",
                "Use --own-grids.",
            )


def _centred(case: _Case, size: tuple[int, int, int]) -> _Case:
    """The case on a grid that starts at the origin: the middles of all images coincide, whatever their headers say."""
    old = case.image.grid
    grid = Grid(size, np.diag([*old.spacing, 1.0]))
    image, labels = (
        None if one is None else Volume(centred(one.data, size), grid, one.path) for one in (case.image, case.labels)
    )
    assert image is not None
    points = case.points
    if points is not None:  # as many voxels from the corner as `centred` moves the data
        shift = [(s - n) // 2 if n <= s else -((n - s) // 2) for n, s in zip(old.shape, size, strict=True)]
        points = grid.world(old.index(points) + shift)
    return _Case(image, labels, points)


def _written(pair: Pair, cases: dict[str, _Case], folder: Path, remap: bool) -> Ready:
    fixed, moving = cases[pair.fixed], cases[pair.moving]
    shown = replace(moving.image, data=remapped(moving.image.data)) if remap else moving.image
    files = {"fixed": fixed.image, "moving": shown, "fixed_seg": fixed.labels, "moving_seg": moving.labels}
    for name, volume in files.items():
        if volume is not None:
            write_image(volume, folder / f"{name}.nii.gz")
    labelled = fixed.labels is not None and moving.labels is not None
    marked = fixed.points is not None and moving.points is not None
    return Ready(
        pair.name,
        folder / "fixed.nii.gz",
        folder / "moving.nii.gz",
        (folder / "fixed_seg.nii.gz", folder / "moving_seg.nii.gz") if labelled else None,
        (fixed.points, moving.points) if marked else None,  # type: ignore[arg-type]
    )
