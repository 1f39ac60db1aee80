"""Small images for the tests of reading and writing: any axes, any type, NIfTI to the byte, DICOM series."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from medmamba.predict.files.cases import Case
from medmamba.predict.recipe import Reader, Recipe
from tests.predict.fakes import RECIPE

SHAPE = (5, 6, 7)
"""x, y, z."""


def recipe(
    reader: Reader = "itk",
    channels: Sequence[str] = ("MRI",),
    ending: str = ".nii.gz",
    patch: tuple[int, ...] = (8, 8, 8),
) -> Recipe:
    """What the model's images are."""
    return replace(RECIPE, reader=reader, channels=tuple(channels), file_ending=ending, patch_size=patch)


def case(*files: Path, kind: Any = "files") -> Case:
    """A case whose files are its channels in order."""
    return Case("c", files, kind)


def voxels(shape: tuple[int, ...] = SHAPE, dtype: Any = np.int16, seed: int = 0) -> np.ndarray:
    """Numbers that fill much of their type, (x, y, z)."""
    random, kind = np.random.default_rng(seed), np.dtype(dtype)
    if kind.kind == "f":
        return (random.normal(size=shape) * 1000).astype(kind)
    info = np.iinfo(kind)
    return random.integers(info.min // 2, info.max // 2, shape, dtype=kind)


def affine(
    spacing: Sequence[float] = (0.8, 1.25, 3.0),
    turn: Sequence[float] = (0, 0, 0),
    axes: Sequence[int] = (0, 1, 2),
    signs: Sequence[int] = (1, 1, 1),
    origin: Sequence[float] = (-31.25, 17.5, 402.125),
) -> np.ndarray:
    """(4, 4): axes permuted and flipped, then turned by Euler angles in degrees."""
    matrix = np.eye(4)
    rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, :3] = (rotation @ np.eye(3)[:, list(axes)] * np.array(signs)) * np.array(spacing)
    matrix[:3, 3] = origin
    return matrix


ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
"""All 48."""


def save(
    path: Path,
    array: np.ndarray | None = None,
    matrix: np.ndarray | None = None,
    forms: tuple[int, int] = (1, 1),
    **fields: Any,
) -> Path:
    """A NIfTI file with the voxels as given; `forms`: codes of qform and sform; `fields` of the header as they are."""
    array = voxels() if array is None else array
    matrix = affine() if matrix is None else matrix
    image = nibabel.Nifti1Image(array, matrix, dtype=array.dtype)
    image.set_qform(matrix, forms[0])
    image.set_sform(matrix, forms[1])
    header = image.header
    header.set_slope_inter(1, 0)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + bytes(4) + array.tobytes("F")
    if path.suffix == ".gz":
        import gzip

        content = gzip.compress(content, 1, mtime=0)
    path.write_bytes(content)
    return path


def itk_image(array: np.ndarray, matrix: np.ndarray) -> sitk.Image:
    """A SimpleITK image of an array (x, y, z) and an affine."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    flip = np.diag([-1.0, -1.0, 1.0])
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((flip @ matrix[:3, 3]).tolist())
    image.SetDirection((flip @ matrix[:3, :3] / spacing).ravel().tolist())
    return image


def save_series(
    folder: Path,
    array: np.ndarray | None = None,
    matrix: np.ndarray | None = None,
    uid: str = "1.2.3.4",
    change: Callable[[int, sitk.Image], None] = lambda number, image: None,
    names: Callable[[int], str] = lambda number: f"{(number * 7919) % 97:03d}.dcm",
) -> Path:
    """A CT series whose file names do not tell its order; `change` alters the tags of a slice."""
    folder.mkdir(parents=True, exist_ok=True)
    image = itk_image(voxels() if array is None else array, affine() if matrix is None else matrix)
    direction = image.GetDirection()
    turn = "\\".join(f"{direction[place]:.10g}" for place in (0, 3, 6, 1, 4, 7))
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(image.GetSize()[2]):
        part = image[:, :, number]
        place = image.TransformIndexToPhysicalPoint((0, 0, number))
        tags = {
            "0008|0060": "CT", "0020|000d": "1.2.3", "0020|000e": uid, "0008|0018": f"{uid}.{number + 1}",
            "0020|0032": "\\".join(f"{one:.10g}" for one in place), "0020|0037": turn, "0020|0013": str(number + 1),
            "0018|0050": f"{image.GetSpacing()[2]:.6g}", "0010|0010": "ZZPHIZZ",
        }  # fmt: skip
        for tag, value in tags.items():
            part.SetMetaData(tag, value)
        change(number, part)
        if "skip" not in part.GetMetaDataKeys():
            writer.SetFileName(str(folder / names(number)))
            writer.Execute(part)
    return folder
