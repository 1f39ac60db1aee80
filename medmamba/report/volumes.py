"""Images and label maps as the report shows them: axes to right, anterior, superior, and fresh headers."""

import base64
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from ..data.check.geometry import Geometry, difference
from ..data.check.image import FLAT, TIFF, photograph, stack
from ..data.integrity import reading, refusal
from ..predict.files import volumes

_AS_STORED = np.diag([-1.0, -1.0, 1.0, 1.0])
"""The affine of what has no place in a patient: with it a slice is shown as it is stored."""


@dataclass(frozen=True, eq=False)
class Volume:
    """One image or label map."""

    voxels: NDArray[Any]
    """(x, y, z), or (x, y, z, colours); z is 1 for pictures."""
    affine: NDArray[np.float64]
    """(4, 4): index to mm to the right, anterior, superior."""
    placed: bool
    """Whether the axes are those of a body."""
    grid: Geometry
    """As stored, to compare files by."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along x, y, z."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        x, y, z = self.voxels.shape[:3]
        return x, y, z

    @property
    def flat(self) -> bool:
        """Whether it is one slice."""
        return self.size[2] == 1

    def fits(self, other: "Volume") -> bool:
        """Whether both lie on one grid, up to rounding of headers."""
        if self.size != other.size:
            return False
        return not (self.placed and other.placed) or not difference(self.grid, other.grid).real


def read_volume(path: Path) -> Volume:
    """An image file, picture or folder of a DICOM series. DataError, naming the file, where it cannot be used."""
    name = path.name.lower()
    if path.is_dir() or not name.endswith((*FLAT, *TIFF)):
        return _of_file(path)
    with reading(path):
        pixels = stack(path) if name.endswith(TIFF) else photograph(path)
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        return _turned(pixels[None, ..., :3].transpose(2, 1, 0, 3), _AS_STORED, False)
    if pixels.ndim not in (2, 3):
        raise refusal(path, "dimensions", f"Has {pixels.ndim} axes.")
    return _turned((pixels if pixels.ndim == 3 else pixels[None]).T, _AS_STORED, False)


def read_labels(path: Path) -> Volume:
    """The same with whole numbers. DataError for a file that is no label map."""
    found = read_volume(path)
    voxels = found.voxels
    if voxels.ndim > 3:
        raise refusal(path, "label-fraction", "Is a picture in colour, no label map.")
    if voxels.dtype.kind not in "iub":
        whole = np.rint(voxels)
        if not np.array_equal(whole, voxels):
            raise refusal(path, "label-fraction", "Holds numbers that are no whole ones.")
        voxels = whole
    return Volume(voxels.astype(np.int32), found.affine, found.placed, found.grid)


def _of_file(path: Path) -> Volume:
    stored = volumes.load(path, "itk", path.is_dir())
    voxels = stored.voxels
    if stored.scale is not None and stored.scale != (1.0, 0.0):
        voxels = voxels.astype(np.float32) * np.float32(stored.scale[0]) + np.float32(stored.scale[1])
    if voxels.ndim == 2:
        edges = np.array([*np.abs(stored.zooms[:2]), 1.0, 1.0])
        return _turned(voxels[None].T, _AS_STORED * edges, False)
    return _turned(voxels.T, stored.affine, True, stored.grid)


def _turned(voxels: NDArray[Any], affine: NDArray[np.float64], placed: bool, grid: Geometry | None = None) -> Volume:
    """With the axes nearest to right, anterior, superior, in this order."""
    turn = io_orientation(affine)
    affine = affine @ inv_ornt_aff(turn, voxels.shape[:3])
    if grid is None:
        grid = volumes.grid_of(voxels.shape[:3], (1.0, 1.0, 1.0), np.eye(4))
    return Volume(apply_orientation(voxels, turn), affine, placed, grid)


def as_nifti(voxels: NDArray[np.uint8], affine: NDArray[np.float64]) -> str:
    """A NIfTI file of nothing but voxels and affine, gzip, base64."""
    content = nibabel.Nifti1Image(voxels, affine).to_bytes()
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")
