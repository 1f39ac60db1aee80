"""What a few images and labels of an unknown folder hold: values, size, spacing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from skimage.filters import threshold_otsu

from ...errors import DataError
from ..prepare.pictures import is_picture, read

_MOST_LABELS = 256
_CT_AIR = -500
"""Only CT has values so far below zero."""


@dataclass(frozen=True)
class Looks:
    """What was seen in some of the images."""

    flat: bool
    """2-D pictures."""
    channels: int
    """Of one file: colours, or time points of a 4-D file."""
    is_4d: bool
    is_ct: bool
    wide: bool
    """More than 8 bits a pixel."""
    spacing: tuple[float, ...]
    shape: tuple[int, ...]
    """x, y, z."""


def look(paths: Sequence[Path]) -> Looks:
    """Look into image files of one channel. DataError for one that cannot be read."""
    if all(is_picture(path) for path in paths):
        pictures = [read(path) for path in paths]
        channels = max(1 if picture.ndim == 2 else min(picture.shape[2], 3) for picture in pictures)
        shape = np.median([picture.shape[1::-1] for picture in pictures], axis=0)
        wide = any(picture.dtype != np.uint8 for picture in pictures)
        return Looks(True, 3 if channels > 1 else 1, False, False, wide, (), tuple(int(size) for size in shape))
    images = [_read(path) for path in paths]
    lowest = min(float(sitk.GetArrayFromImage(image).min()) for image in images)
    time = images[0].GetSize()[3] if images[0].GetDimension() == 4 else 1
    spacing = np.median([image.GetSpacing()[:3] for image in images], axis=0).round(4)
    shape = np.median([image.GetSize()[:3] for image in images], axis=0)
    return Looks(
        flat=False,
        channels=time,
        is_4d=images[0].GetDimension() == 4,
        is_ct=lowest < _CT_AIR,
        wide=False,
        spacing=tuple(float(part) for part in spacing),
        shape=tuple(int(part) for part in shape),
    )


def seen_above(paths: Sequence[Path]) -> float:
    """The brightness above which volumes show something: halfway to the body in CT, else the lowest by Otsu."""
    found = []
    for path in paths:
        values = sitk.GetArrayFromImage(_read(path)).ravel()
        values = values[np.isfinite(values)]
        if values.size and values.min() < _CT_AIR:
            return _CT_AIR
        if values.size and np.ptp(values):
            found.append(float(threshold_otsu(values)))
    return float(f"{min(found, default=0):.4g}")


def label_values(paths: Sequence[Path]) -> list[int]:
    """All values in label files, ascending. DataError for files that hold fractions or too many values."""
    values: set[int] = set()
    for path in paths:
        array = read(path) if is_picture(path) else sitk.GetArrayFromImage(_read(path))
        found = np.unique(array)
        if (found != np.rint(found)).any():
            raise DataError(f"{path} holds fractions and is no label file.", "Which files are labels? Rename them.")
        values |= {int(value) for value in found}
    if len(values) > _MOST_LABELS:
        problem = f"The label files hold {len(values)} different values, as {paths[0]} does."
        raise DataError(problem, "Write the card by hand: `medmamba datasets show BraTS2023` is an example.")
    return sorted(values)


def _read(path: Path) -> Any:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise DataError(f"{path} cannot be read as an image.", "Replace the file.") from error
