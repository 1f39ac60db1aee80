"""From the axes of nnU-Net's arrays to those in which images are registered: (X, Y, Z), closest to RAS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from ...register.grid import FLIP


@dataclass(frozen=True, eq=False)
class Space:
    """How the arrays of one case turn into canonical ones."""

    transpose_backward: tuple[int, ...]
    """nnU-Net's: from the plan's axes to those of a file as nnU-Net reads it, slowest first."""
    turn: NDArray[np.float64]
    """(3, 2): nibabel's orientation of the file's axes (X, Y, Z)."""

    def canonical(self, array: NDArray[Any]) -> NDArray[Any]:
        """(A, B, C) in the plan's axes -> (X, Y, Z)."""
        turned: NDArray[Any] = apply_orientation(array.transpose(self.transpose_backward).transpose(2, 1, 0), self.turn)
        return np.ascontiguousarray(turned)

    def along(self, values: Sequence[float]) -> tuple[float, float, float]:
        """One value for each of the plan's axes -> for X, Y and Z."""
        in_file = np.array([values[axis] for axis in self.transpose_backward])[::-1]
        found = np.zeros(3)
        found[self.turn[:, 0].astype(int)] = in_file
        x, y, z = found.tolist()
        return x, y, z


def space_of(plans: Mapping[str, Any], properties: Mapping[str, Any]) -> Space:
    """The space of a preprocessed case from what nnU-Net noted of its file (`properties`)."""
    turn = io_orientation(_affine(properties))
    return Space(tuple(plans["transpose_backward"]), ornt_transform(turn, axcodes2ornt(("R", "A", "S"))))


def _affine(properties: Mapping[str, Any]) -> NDArray[np.float64]:
    """Voxels to RAS; where a reader notes no direction its axes are taken for R, A and S."""
    found = np.eye(4)
    if "sitk_stuff" in properties:
        direction = np.array(properties["sitk_stuff"]["direction"]).reshape(3, 3)
        found[:3, :3] = FLIP @ direction
    elif "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        found = np.array(stuff.get("reoriented_affine", stuff["original_affine"]))
    return found
