"""CASE.pkl: what nnU-Net's ensembling has to know of an image beside its probabilities."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from .images import Geometry
from .preprocess import Place
from .recipe import Recipe


def write_properties(file: Path, place: Place, geometry: Geometry, recipe: Recipe) -> None:
    """Write the properties of an image under nnU-Net's names, as plain values and arrays."""
    with replacing(file, durable=True) as temporary:
        temporary.write_bytes(pickle.dumps({**_of_reader(place, geometry, recipe), **place.as_properties()}))


def _of_reader(place: Place, geometry: Geometry, recipe: Recipe) -> dict[str, Any]:
    """What the reader of the model notes for its own writer."""
    if recipe.reader == "itk":
        own = {"spacing": geometry.spacing, "origin": geometry.origin, "direction": geometry.direction}
        return {"sitk_stuff": own}
    if recipe.reader in ("flat", "tiff"):
        return {}
    affines = {"original_affine": np.array(geometry.affine)}
    if recipe.reader == "nibabel-ras":
        affines["reoriented_affine"] = affines["original_affine"] @ _turned(place, geometry)
    return {"nibabel_stuff": affines}


def _turned(place: Place, geometry: Geometry) -> Any:
    """From voxels as turned to RAS to voxels as stored."""
    from nibabel.orientations import inv_ornt_aff

    if geometry.turn is None:
        return np.eye(4)
    turned = place.shape[::-1]
    stored = tuple(turned[axis] for axis, _ in geometry.turn)
    return inv_ornt_aff(np.array(geometry.turn, float), stored)
