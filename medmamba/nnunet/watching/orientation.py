"""Which way a preprocessed array lies in the body, and how a cut is turned so that doctors recognise it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))
"""Per axis of ITK's world (to the left, to the back, to the head): the side it comes from and the one it goes to."""
_OPPOSITE = {a: b for pair in _LETTERS for a, b in (pair, pair[::-1])}
_PLANES = {"LR": "sagittal", "AP": "coronal", "IS": "axial"}
STACK = 999.0
"""What nnU-Net writes as the spacing across images that are no volume: pictures, frames of a clip."""


@dataclass(frozen=True)
class View:
    """How a 2-D cut is shown: first transposed, then flipped."""

    plane: str = "slice"
    transposed: bool = False
    flipped: tuple[int, ...] = ()
    sides: tuple[str, str, str, str] | None = None
    """Letters of the left, right, upper and lower edge."""

    def turn(self, cut: NDArray[Any]) -> NDArray[Any]:
        """The cut (rows, columns, ...) as it is shown."""
        return np.flip(cut.swapaxes(0, 1) if self.transposed else cut, self.flipped)


def axes(properties: Mapping[str, Any], transpose: Sequence[int]) -> tuple[str, ...] | None:
    """To which side of the body each axis (Z, Y, X) of a preprocessed array goes: ("S", "P", "L"), for example.

    `properties` are those that nnU-Net keeps of a case, `transpose` its plans' `transpose_forward`. None for what is no
    volume and where the reader noted no direction.
    """
    noted = properties.get("sitk_stuff") or {}
    direction = noted.get("direction", ())
    if len(direction) != 9 or STACK in properties.get("spacing", ()):
        return None
    columns = np.array(direction, float).reshape(3, 3).T[::-1]  # of the array's axes Z, Y, X
    world = np.abs(columns).argmax(1)
    if sorted(world) != [0, 1, 2]:  # tilted by 45 degrees: no letter is right
        return None
    letters = [_LETTERS[axis][int(column[axis] > 0)] for axis, column in zip(world, columns, strict=True)]
    return tuple(letters[axis] for axis in transpose)


def view(letters: Sequence[str] | None, across: int) -> View:
    """How to show a cut across axis `across`: as radiologists do, the patient's right on the left, the head or the
    front up. `letters` as `axes` gives them; None leaves the cut as it is."""
    if letters is None:
        return View()
    rows, columns = (letter for axis, letter in enumerate(letters) if axis != across)
    plane = next(name for pair, name in _PLANES.items() if letters[across] in pair)
    down, right = {"axial": ("P", "L"), "coronal": ("I", "L"), "sagittal": ("I", "P")}[plane]
    transposed = rows not in (down, _OPPOSITE[down])
    if transposed:
        rows, columns = columns, rows
    flipped = tuple(axis for axis, (is_, wanted) in enumerate(((rows, down), (columns, right))) if is_ != wanted)
    return View(plane, transposed, flipped, (_OPPOSITE[right], right, _OPPOSITE[down], down))
