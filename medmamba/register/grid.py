"""Where the voxels of an image lie: the geometry that registration thinks in."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import SimpleITK as sitk
from nibabel.orientations import inv_ornt_aff, io_orientation
from numpy.typing import ArrayLike, NDArray

FLIP = np.diag([-1.0, -1.0, 1.0])
"""(3, 3): patient axes left, posterior, superior (ITK) to right, anterior, superior, and back."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A lattice of voxels in the patient."""

    shape: tuple[int, int, int]
    """Voxels along the array's axes (X, Y, Z), in nibabel's order."""
    affine: NDArray[np.float64]
    """(4, 4): voxel index to millimetres to the right, anterior, superior (RAS)."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm between neighbouring voxels along each array axis."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    @property
    def direction(self) -> NDArray[np.float64]:
        """(3, 3): its columns are unit vectors along the array's axes, RAS."""
        return self.affine[:3, :3] / np.array(self.spacing)

    @property
    def voxel_volume(self) -> float:
        """mm^3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,): RAS mm of the middle of the field of view."""
        return self.world((np.array(self.shape) - 1) / 2)[0]

    def world(self, index: ArrayLike) -> NDArray[np.float64]:
        """RAS mm (N, 3) of voxel indices (N, 3), which need not be whole."""
        return np.atleast_2d(np.asarray(index, np.float64)) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def index(self, world: ArrayLike) -> NDArray[np.float64]:
        """Voxel indices (N, 3), fractions included, of points (N, 3) in RAS mm."""
        inverse = np.linalg.inv(self.affine)
        return np.atleast_2d(np.asarray(world, np.float64)) @ inverse[:3, :3].T + inverse[:3, 3]

    def inside(self, world: ArrayLike) -> NDArray[np.bool_]:
        """(N,): whether points in RAS mm lie in a voxel of the grid, which reaches half an edge beyond its centre."""
        return self.holds(self.index(world))

    def holds(self, index: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,): `inside` for voxel indices (N, 3)."""
        return np.all((index >= -0.5) & (index < np.array(self.shape) - 0.5), axis=1)

    def some(self, most: int = 200_000) -> NDArray[np.float64]:
        """RAS mm (N, 3) of about `most` of the voxels, or all, spread evenly."""
        step = max(1, round((np.prod(self.shape) / most) ** (1 / 3)))
        axes = [np.arange(0, size, step) for size in self.shape]
        return self.world(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))

    def same_as(self, other: "Grid", tolerance: float = 1e-3) -> bool:
        """Whether both put every voxel at the same place, up to `tolerance` of the smallest voxel edge."""
        if self.shape != other.shape:
            return False
        corners = np.array(list(product(*((0, size - 1) for size in self.shape))), np.float64)
        apart = np.linalg.norm(self.world(corners) - other.world(corners), axis=1)
        return bool(apart.max() <= tolerance * min(self.spacing))

    def canonical(self) -> "Grid":
        """The same voxels in the axis order and direction closest to RAS."""
        turn = io_orientation(self.affine)
        x, y, z = (self.shape[int(np.flatnonzero(turn[:, 0] == axis)[0])] for axis in range(3))
        return Grid((x, y, z), self.affine @ inv_ornt_aff(turn, self.shape))

    def resampled(self, spacing: Sequence[float]) -> "Grid":
        """Voxels of another size, mm along each axis, over the same field of view with the same centre."""
        wanted = np.asarray(spacing, np.float64)
        x, y, z = np.maximum(np.rint(np.array(self.shape) * self.spacing / wanted), 1).astype(int).tolist()
        return self._centred((x, y, z), self.direction * wanted)

    def padded(self, multiple: int) -> "Grid":
        """Grown at both ends of each axis so that its length is a multiple; the voxels stay where they are."""
        missing = [-size % multiple for size in self.shape]
        x, y, z = (size + more for size, more in zip(self.shape, missing, strict=True))
        affine = self.affine.copy()
        affine[:3, 3] = self.world([-(more // 2) for more in missing])[0]
        return Grid((x, y, z), affine)

    def _centred(self, shape: tuple[int, int, int], matrix: NDArray[np.float64]) -> "Grid":
        affine = np.eye(4)
        affine[:3, :3] = matrix
        affine[:3, 3] = self.centre - matrix @ ((np.array(shape) - 1) / 2)
        return Grid(shape, affine)

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        """The grid of a SimpleITK image with three axes."""
        affine = np.eye(4)
        affine[:3, :3] = FLIP @ np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        affine[:3, 3] = FLIP @ np.array(image.GetOrigin())
        return cls(image.GetSize(), affine)

    def stamp(self, image: Any) -> Any:
        """Give a SimpleITK image of this shape this geometry, and return it."""
        image.SetSpacing(self.spacing)
        image.SetOrigin((FLIP @ self.affine[:3, 3]).tolist())
        image.SetDirection((FLIP @ self.direction).ravel().tolist())
        return image

    def reference(self) -> sitk.Image:
        """An image of zeros (uint8) with this geometry, for SimpleITK's filters."""
        return self.stamp(sitk.Image(list(self.shape), sitk.sitkUInt8))
