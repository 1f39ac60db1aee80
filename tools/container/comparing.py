"""Whether what was written inside the container is what the same bundle gives outside."""

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from .inputs import CANARY

_IMAGES = (".nii.gz", ".mha")
_SCORES = ("report.json", "results.yaml", "statistics.yaml")
"""Documents that are the same wherever they are written."""


def files(folder: Path) -> list[str]:
    """All files below a folder; names of prepared cases are pseudonyms, new in every run."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def label_maps(folder: Path) -> list[str]:
    """The names of all images and segmentations."""
    return [name for name in files(folder) if name.endswith((*_IMAGES, ".dcm"))]


def faults(inside: Path, outside: Path, pseudonyms: bool) -> tuple[int, list[str]]:
    """(number of label maps and images that are equal, what differs).

    pseudonyms: files are named by pseudonyms, which are new in every run: then any order will do.
    """
    wrong = []
    if len(files(inside)) != len(files(outside)) or (not pseudonyms and files(inside) != files(outside)):
        wrong.append(f"files {files(inside)} inside, {files(outside)} outside")
    here = [(name, content(inside / name)) for name in label_maps(inside)]
    there = [(name, content(outside / name)) for name in label_maps(outside)]
    if pseudonyms:
        here, there = sorted(("", one) for _, one in here), sorted(("", one) for _, one in there)
    equal = sum(pair in there for pair in here)
    if here != there:
        wrong.append(f"{len(here) - equal} of {len(here)} label maps differ")
    for name in files(inside):
        if Path(name).name in _SCORES and (inside / name).read_bytes() != (outside / name).read_bytes():
            wrong.append(f"{name} differs")
    return equal, wrong


def content(file: Path) -> str:
    """A digest of voxels and place; of a DICOM segmentation, of its frames and what they stand for."""
    if file.suffix == ".dcm":
        data = pydicom.dcmread(file)
        facts = [segment.SegmentLabel for segment in data.SegmentSequence], data.FrameOfReferenceUID
        return _digest(data.pixel_array, facts)
    image = sitk.ReadImage(str(file))
    place = image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    return _digest(sitk.GetArrayFromImage(image), place)


def _digest(voxels: "np.ndarray", facts: object) -> str:
    return hashlib.sha256(np.ascontiguousarray(voxels).tobytes() + repr((voxels.dtype, facts)).encode()).hexdigest()


def tells_names(folder: Path, said: str) -> bool:
    """Whether the canary is in what was printed, or in a file that holds no label map."""
    texts = [folder / name for name in files(folder) if name not in label_maps(folder)]
    return CANARY in said or any(CANARY.encode() in path.read_bytes() for path in texts)
