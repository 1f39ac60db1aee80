"""Volumes made in code, with known truth: what the demo and the tests learn from when no data is at hand.

Each phantom is an organ (an ellipsoidal capsule around an off-centre core) with a curved vessel beside it and a few
bright spots that belong to nothing, seen through a smooth bias field and Rician noise, on an anisotropic grid that lies
obliquely in the patient. Shapes are drawn in millimetres and sampled afterwards: the truth does not depend on the grid.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..errors import DataError
from ..files import replacing, write_json

LABELS = {"background": 0, "capsule": 1, "core": 2, "vessel": 3}
_CONTRAST = {"background": 60.0, "capsule": 150.0, "core": 100.0, "vessel": 200.0, "spot": 180.0}
_Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Phantom:
    """One volume and its truth on the same grid."""

    image: NDArray[np.float32]
    """Intensities, (Z, Y, X)."""
    labels: NDArray[np.uint8]
    """Values of LABELS, (Z, Y, X)."""
    spacing: tuple[float, float, float]
    """Voxel size in mm, (Z, Y, X)."""
    direction: NDArray[np.float64]
    """Columns are the directions of the X, Y and Z axes in the patient, (3, 3)."""
    origin: tuple[float, float, float]
    """Patient position of the first voxel in mm, (x, y, z)."""

    def as_images(self) -> tuple[sitk.Image, sitk.Image]:
        """Image and labels as SimpleITK images with the same geometry."""
        pair = sitk.GetImageFromArray(self.image), sitk.GetImageFromArray(self.labels)
        for image in pair:
            image.SetSpacing(self.spacing[::-1])
            image.SetDirection(self.direction.ravel().tolist())
            image.SetOrigin(self.origin)
        return pair


def phantom(
    seed: int, shape: tuple[int, int, int] = (24, 48, 40), spacing: tuple[float, float, float] = (2.0, 1.0, 1.0)
) -> Phantom:
    """The phantom number `seed`: always the same one for the same arguments.

    Parameters
    ----------
    seed: which phantom.
    shape: voxels, (Z, Y, X).
    spacing: voxel size in mm, (Z, Y, X).
    """
    random = np.random.default_rng(seed)
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)  # (Z, Y, X, 3), mm from the centre
    extent = np.array(shape) * np.array(spacing) / 2
    labels, spots = _structures(random, grid, extent)
    return Phantom(
        image=_acquire(random, labels, spots, grid / extent),
        labels=labels,
        spacing=spacing,
        direction=Rotation.from_euler("xyz", random.uniform(-20, 20, 3), degrees=True).as_matrix(),
        origin=tuple(random.uniform(-50, 50, 3).tolist()),
    )


def _structures(random: np.random.Generator, grid: _Grid, extent: _Grid) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The label map and the mask of the spots that belong to nothing, both (Z, Y, X)."""
    turn = Rotation.from_euler("xyz", random.uniform(-30, 30, 3), degrees=True).as_matrix()
    centre = extent * random.uniform(-0.12, 0.12, 3)
    radii = extent * random.uniform(0.42, 0.58, 3)
    outer = _ellipsoid(grid, centre, radii, turn)
    core = _ellipsoid(grid, centre + radii * random.uniform(-0.15, 0.15, 3), radii * random.uniform(0.5, 0.65), turn)
    vessel = _tube(random, grid, extent, side=centre[2] + radii[2]) & ~outer
    labels = np.zeros(grid.shape[:3], np.uint8)
    for mask, name in ((outer, "capsule"), (core & outer, "core"), (vessel, "vessel")):
        labels[mask] = LABELS[name]
    spots = np.zeros(grid.shape[:3], bool)
    for _ in range(random.integers(2, 5)):
        spots |= _ellipsoid(grid, extent * random.uniform(-0.9, 0.9, 3), extent * 0.09, np.eye(3))
    return labels, spots & (labels == 0)


def _ellipsoid(grid: _Grid, centre: _Grid, radii: _Grid, turn: _Grid) -> NDArray[np.bool_]:
    """Where |R^T (x - c) / r| <= 1."""
    return np.linalg.norm((grid - centre) @ turn / radii, axis=-1) <= 1


def _tube(random: np.random.Generator, grid: _Grid, extent: _Grid, side: float) -> NDArray[np.bool_]:
    """A tube of changing width along y, winding beside the organ at x = `side` mm."""
    along = np.linspace(-1, 1, 80)
    phase = random.uniform(0, 2 * np.pi, 2)
    depth = extent[0] * 0.35 * np.sin(2.5 * along + phase[0])
    sideways = side + extent[2] * (0.12 + 0.06 * np.sin(4 * along + phase[1]))
    path = np.stack([depth, extent[1] * along, sideways], axis=-1)
    distance, nearest = cKDTree(path).query(grid.reshape(-1, 3))
    width = extent.min() * (0.15 + 0.03 * np.cos(3 * along + phase[0]))
    return (distance <= width[nearest]).reshape(grid.shape[:3])


def _acquire(
    random: np.random.Generator, labels: NDArray[np.uint8], spots: NDArray[np.bool_], position: _Grid
) -> NDArray[np.float32]:
    """What a scanner makes of the structures: partial volume, bias field, Rician noise, a scale of its own."""
    ideal = np.array([_CONTRAST[name] for name in LABELS])[labels]
    ideal[spots] = _CONTRAST["spot"]
    blurred = gaussian_filter(ideal, 0.5)
    bias = np.exp((position * random.uniform(-0.2, 0.2, 3)).sum(-1) - random.uniform(0, 0.2) * (position**2).sum(-1))
    real, imaginary = random.normal(0, 12, (2, *labels.shape))
    magnitude = np.hypot(blurred * bias + real, imaginary)
    return (magnitude * random.uniform(0.5, 4)).astype(np.float32)


def write_dataset(raw: Path, dataset_id: int, name: str, training: int, test: int, seed: int = 0) -> Path:
    """Write phantoms as an nnU-Net raw dataset with `training` and `test` cases, labels of both, and return its folder.

    DataError when the folder is there already: nothing is written over.
    """
    folder = raw / f"Dataset{dataset_id:03d}_{name}"
    if folder.exists():
        raise DataError(f"{folder} is there already.", "Remove it or take another number.")
    with replacing(folder) as temporary:
        for split, count, first in (("Tr", training, 0), ("Ts", test, training)):
            for part in ("images", "labels"):
                (temporary / f"{part}{split}").mkdir(parents=True)
            for number in range(first, first + count):
                image, labels = phantom(seed * 10_000 + number).as_images()
                sitk.WriteImage(image, str(temporary / f"images{split}" / f"phantom_{number:03d}_0000.nii.gz"))
                sitk.WriteImage(labels, str(temporary / f"labels{split}" / f"phantom_{number:03d}.nii.gz"))
        content = {"channel_names": {"0": "MRI"}, "labels": LABELS, "numTraining": training, "file_ending": ".nii.gz"}
        write_json(temporary / "dataset.json", content)
    return folder
