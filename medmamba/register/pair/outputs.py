"""The output folder of a pair: made beside its place, and there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, SetupError
from ...predict.batch.outputs import staging
from ..images import Volume, write_image
from ..pairs import case_name
from ..transforms.files import FORWARD, INVERSE, write_itk, write_learn2reg
from ..transforms.nifti import write_displacement_nifti
from ..transforms.transform import Affine, Transform
from ..warping import warp_image, warp_labels
from .checks import Pair
from .options import Options

WARPED, WARPED_SEG, AFFINE = "warped.nii.gz", "warped_seg.nii.gz", "affine.tfm"
DISPLACEMENT, INVERSE_DISPLACEMENT = "displacement.nii.gz", "inverse_displacement.nii.gz"
JACOBIAN, REPORT, PICTURE = "jacobian.nii.gz", "report.json", "qc.png"
_ALWAYS = (WARPED, FORWARD, INVERSE, AFFINE, DISPLACEMENT, INVERSE_DISPLACEMENT, JACOBIAN, REPORT, PICTURE)
_OURS = (*_ALWAYS, WARPED_SEG)
AIR = -1024.0
"""HU beyond the edge of a CT."""


@dataclass(frozen=True, eq=False)
class Result:
    """What a registration found, on the grids of the two images."""

    transform: Transform
    """Fixed points to moving points."""
    inverse: Transform
    affine: Affine
    jacobian: NDArray[np.float32]
    """(X, Y, Z) on the fixed grid."""


@contextmanager
def publishing(out: Path) -> Iterator[Path]:
    """A folder to make a result in, which takes the place of `out` when the block ends well.

    An older result is replaced; after an error it stays as it was and nothing new is left. Raises ConfigError when
    `out` is a file or holds anything else than a result, and when nothing can be written beside it.
    """
    out = Path(out).expanduser()
    require_free(out)
    try:
        with staging(out.absolute().parent) as place:
            folder = place.folder / "result"
            folder.mkdir()
            yield folder
            if not out.is_dir():
                folder.rename(out)
                return
            older = place.folder / "older"
            out.rename(older)
            folder.rename(out)
    except SetupError as error:
        if "Nothing can be written" not in error.problem and "is not UTF-8" not in error.problem:
            raise
        raise ConfigError(error.problem, "Choose another --out.") from error


def require_free(out: Path) -> None:
    """Raise ConfigError when a result cannot take this place without anything of somebody else's being lost."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file.", "Name a folder with --out.")
    if not out.is_dir():
        return
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(f"{out} may not be written to.", "Choose another --out.")
    others = sorted(path.name for path in out.iterdir() if not _is_ours(path.name))
    if others:
        problem = f"{out} holds {others[0]}, which is no result of a registration."
        raise ConfigError(problem, "Name a folder that is new, empty, or holds an earlier result.")


def _is_ours(name: str) -> bool:
    return name in _OURS or (name.startswith("disp_") and name.endswith(".nii.gz"))


def is_complete(out: Path) -> bool:
    """Whether a folder holds a whole result."""
    return all((out / name).is_file() for name in _ALWAYS)


def outside_of(pair: Pair) -> float:
    """What the warped image holds where the moving one does not reach: its smallest number, in CT at least -1024."""
    lowest = float(pair.moving.image.data.min())
    return max(lowest, AIR) if pair.moving.scheme.modality == "ct" else lowest


def write_result(folder: Path, pair: Pair, result: Result, options: Options) -> Volume:
    """Write everything but report and picture; returns the warped image.

    Each image is resampled once, from the original through the whole transform. Files of fields hold the whole map,
    affine included.
    """
    fixed, moving = pair.fixed.image.grid, pair.moving.image.grid
    warped = warp_image(pair.moving.image, result.transform, fixed, "linear", outside_of(pair))
    write_image(warped, folder / WARPED)
    if pair.moving.labels is not None:
        labels = warp_labels(pair.moving.labels, result.transform, fixed, options.label_interp)
        write_image(labels, folder / WARPED_SEG)
    write_itk(result.transform, folder / FORWARD)
    write_itk(result.inverse, folder / INVERSE)
    write_itk(Transform((result.affine,)), folder / AFFINE)
    write_displacement_nifti(result.transform.displacement_on(fixed), folder / DISPLACEMENT)
    write_displacement_nifti(result.inverse.displacement_on(moving), folder / INVERSE_DISPLACEMENT)
    write_image(Volume(result.jacobian.astype(np.float32), fixed), folder / JACOBIAN)
    if options.format in ("l2r", "both"):
        names = (case_name(str(side.image.path)) for side in (pair.fixed, pair.moving))
        write_learn2reg(result.transform, fixed, moving, folder / f"disp_{'_'.join(names)}.nii.gz")
    return warped
