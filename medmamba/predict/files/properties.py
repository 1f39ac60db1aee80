"""CASE.pkl: what nnU-Net's ensembling has to know of an image beside its probabilities."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ...files import replacing
from ..arrays.preprocess import Place
from ..recipe import Recipe
from .images import Geometry


def write_properties(file: Path, place: Place, geometry: Geometry, recipe: Recipe) -> None:
    """Write the properties of an image under nnU-Net's names, as plain values and arrays."""
    with replacing(file, durable=True) as temporary:
        temporary.write_bytes(pickle.dumps({**_of_reader(place, geometry, recipe), **place.as_properties()}))


def _of_reader(place: Place, geometry: Geometry, recipe: Recipe) -> dict[str, Any]:
    """What the reader of the model notes for its own writer."""
    if recipe.reader == "itk":
        own = {"spacing": geometry.spacing, "origin": geometry.origin, "direction": geometry.direction}
        return {"sitk_stuff": own}
    if recipe.reader == "itk-ras":
        return {"sitk_stuff": _of_turned(place, geometry)}
    if recipe.reader in ("flat", "tiff"):
        return {}
    affines = {"original_affine": np.array(geometry.affine)}
    if recipe.reader == "nibabel-ras":
        affines["reoriented_affine"] = affines["original_affine"] @ _turned(place, geometry)
    return {"nibabel_stuff": affines}


def _of_turned(place: Place, geometry: Geometry) -> dict[str, Any]:
    """ITK's description of the image turned to RAS, and the orientation that it came with."""
    import SimpleITK as sitk

    affine = np.array(geometry.affine) @ _turned(place, geometry)
    steps = affine[:3, :3] * [[-1], [-1], [1]]  # ITK's first two axes point to the left and to the back
    return {
        "spacing": tuple(place.spacing[::-1]),
        "origin": tuple((affine[:3, 3] * [-1, -1, 1]).tolist()),
        "direction": tuple((steps / np.linalg.norm(steps, axis=0)).ravel().tolist()),
        "original_orientation": sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(geometry.direction),
    }


def _turned(place: Place, geometry: Geometry) -> Any:
    """From voxels as turned to RAS to voxels as stored."""
    from nibabel.orientations import inv_ornt_aff

    if geometry.turn is None:
        return np.eye(4)
    turned = place.shape[::-1]
    stored = tuple(turned[axis] for axis, _ in geometry.turn)
    return inv_ornt_aff(np.array(geometry.turn, float), stored)
