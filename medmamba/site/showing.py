"""What a report is made from: links to the files of a run under the names that may be shown, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import write_json
from .pairing import stem_of

if TYPE_CHECKING:
    from ..predict.files.cases import Case
    from .modes.base import Made
    from .scoring import Scored

_SEGMENTATION = ".dcm"


@dataclass(frozen=True)
class Staged:
    """What lies in the temporary folder; without references there are no scores."""

    metrics: Path | None
    images: Path
    predictions: Path
    references: Path | None


def stage(
    folder: Path, cases: Sequence["Case"], made: "Made", scored: "Scored | None", shown: Callable[[str], str]
) -> Staged:
    """Fill a folder of temporary files with what `medmamba.report.write_report` takes.

    made: case -> its label map, and its reference where there is one.
    """
    images, predictions, references = (folder / name for name in ("images", "predictions", "references"))
    for one in (images, predictions, references):
        one.mkdir()
    inputs = {case.name: case for case in cases}
    for case in cases:
        for number, file in enumerate(case.files):
            place = number if case.numbers is None else case.numbers[number]
            _link(file, images, f"{shown(case.name)}_{place:04d}")
    for name, (prediction, reference) in made.items():
        if prediction.name.lower().endswith(_SEGMENTATION):
            _unpack(prediction, inputs.get(name), predictions / f"{shown(name)}.nii.gz")
        else:
            _link(prediction, predictions, shown(name))
        if reference is not None and scored is not None:
            _link(reference, references, shown(name))
    metrics = None
    if scored is not None:
        metrics = folder / "metrics.json"
        write_json(metrics, scored.report.as_json())
    return Staged(metrics, images, predictions, None if scored is None else references)


def _link(file: Path, folder: Path, name: str) -> None:
    """A link with the ending of what it leads to; a series of DICOM slices is a folder."""
    stem = stem_of(file.name)
    ending = "" if stem is None or file.is_dir() else file.name[len(stem) :].lower()
    (folder / f"{name}{ending}").symlink_to(file.absolute())


def _unpack(file: Path, case: "Case | None", target: Path) -> None:
    """A DICOM segmentation as NIfTI on the grid of its series; nothing where one of them cannot be read."""
    import nibabel
    import numpy as np

    from ..dicom.reading import read_segmentation
    from ..errors import MedMambaError
    from ..predict.files import volumes

    try:
        if case is None or case.kind != "dicom":
            return
        series = volumes.load(case.files[0], "itk", dicom=True)
        turn = np.diag([-1.0, -1.0, 1.0, 1.0])
        labels = read_segmentation(file).on_grid(series.voxels.shape, turn @ series.affine)
    except (MedMambaError, OSError):  # the page then says that there is none
        return
    nibabel.save(nibabel.Nifti1Image(labels.T, series.affine), target)
