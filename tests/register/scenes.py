"""Pairs with known answers: two labelled bodies on oblique grids with unequal voxels, one shifted."""

from pathlib import Path

import numpy as np

from medmamba.register.grid import Grid
from medmamba.register.images import Volume, write_image
from medmamba.register.transforms.transform import Affine, Transform

SHIFT = np.array([2.0, -3.0, 4.0])
"""RAS mm that the moving bodies lie away from the fixed ones."""
CENTRES = {1: np.array([10.0, 12.0, 14.0]), 3: np.array([24.0, 20.0, 30.0])}
RADIUS = 7.0


def grid(shape: tuple[int, int, int] = (34, 30, 25), spacing: tuple[float, float, float] = (1.0, 1.25, 2.0)) -> Grid:
    """A grid turned by some degrees about two axes."""
    a, b = np.deg2rad(12), np.deg2rad(-8)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt * np.array(spacing)
    return Grid(shape, affine)


def bodies(on: Grid, offset: np.ndarray) -> Volume:
    """A label map with a ball for each of CENTRES, moved by `offset` mm."""
    world = on.world(np.indices(on.shape).reshape(3, -1).T)
    data = np.zeros(on.shape, np.uint8)
    for label, centre in CENTRES.items():
        inside = np.linalg.norm(world - centre - offset, axis=1) <= RADIUS
        data[inside.reshape(on.shape)] = label
    return Volume(data, on)


def truth() -> Transform:
    """The transform that registers the bodies: fixed to moving."""
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT
    return Transform((Affine(matrix),))


def dataset(folder: Path, name: str = "Set") -> Path:
    """A Learn2Reg-like dataset: cases 0001 (fixed) and 0002 (moving), labels and landmarks in voxels."""
    fixed, moving = bodies(grid(), np.zeros(3)), bodies(grid(), SHIFT)
    (folder / "keypointsTr").mkdir(parents=True)
    for number, (volume, offset) in enumerate(((fixed, np.zeros(3)), (moving, SHIFT)), 1):
        stem = f"{name}_{number:04d}_0000"
        write_image(volume, folder / "labelsTr" / f"{stem}.nii.gz")
        points = volume.grid.index(np.stack(list(CENTRES.values())) + offset)
        np.savetxt(folder / "keypointsTr" / f"{stem}.csv", points, delimiter=",")
    listed = f'{{"fixed": "./imagesTr/{name}_0001_0000.nii.gz", "moving": "./imagesTr/{name}_0002_0000.nii.gz"}}'
    (folder / "dataset.json").write_text(f'{{"name": "{name}", "registration_val": [{listed}]}}')
    return folder
