"""Whether what was written inside the container is what the same bundle gives outside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk

from .inputs import CANARY

_IMAGES = (".nii.gz", ".mha")


def files(folder: Path) -> list[str]:
    """All files below a folder; names of prepared cases are pseudonyms, new in every run."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def faults(inside: Path, outside: Path, said: str) -> tuple[int, list[str]]:
    """(number of label maps and images that are equal, what differs).

    said: everything that the container printed.
    """
    wrong = []
    if files(inside) != files(outside):
        wrong.append(f"files {files(inside)} inside, {files(outside)} outside")
    equal = 0
    for name in files(inside):
        if not (outside / name).is_file() or not name.endswith((*_IMAGES, ".dcm")):
            continue
        same = _same_segmentation if name.endswith(".dcm") else _same_volume
        if same(inside / name, outside / name):
            equal += 1
        else:
            wrong.append("a label map differs")
    if _tells_names(inside, said):
        wrong.append("a case's name is told")
    return equal, wrong


def _same_volume(one: Path, other: Path) -> bool:
    """Voxel by voxel, and in the same place."""
    left, right = sitk.ReadImage(str(one)), sitk.ReadImage(str(other))
    grids = [(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()) for image in (left, right)]
    return grids[0] == grids[1] and np.array_equal(sitk.GetArrayViewFromImage(left), sitk.GetArrayViewFromImage(right))


def _same_segmentation(one: Path, other: Path) -> bool:
    left, right = pydicom.dcmread(one), pydicom.dcmread(other)
    return np.array_equal(left.pixel_array, right.pixel_array) and len(left.SegmentSequence) == len(
        right.SegmentSequence
    )


def _tells_names(folder: Path, said: str) -> bool:
    """Whether the canary is in what was printed, or in a file that holds no label map."""
    texts = [path for name in files(folder) if not name.endswith((*_IMAGES, ".dcm")) for path in [folder / name]]
    return CANARY in said or any(CANARY.encode() in path.read_bytes() for path in texts)


def events(said: str) -> list[dict[str, Any]]:
    """The lines of the log."""
    return [json.loads(line) for line in said.splitlines() if line.startswith('{"t"')]
