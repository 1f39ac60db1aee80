"""Which label map belongs to which reference: files of one name in two folders."""

from pathlib import Path

from ..errors import DataError
from .finding import visible

_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".gipl")
_SEGMENTATION = ".dcm"


def pairs_in(predictions: Path, references: Path) -> tuple[dict[str, tuple[Path | None, Path]], int]:
    """Case -> (label map or None, reference), by name, and the number of label maps without a reference.

    Raises DataError where there is no reference, or where a folder has two files of one case.
    """
    known = labels_in(references)
    if not known:
        raise DataError("There are no reference labels.", "Name them as the cases, as CASE.nii.gz.")
    made = labels_in(predictions, segmentations=True)
    return {case: (made.get(case), file) for case, file in known.items()}, len(set(made) - set(known))


def stem_of(name: str, segmentations: bool = False) -> str | None:
    """A file's name without its ending; None for one that is no image's.

    segmentations: DICOM ones count, too.
    """
    endings = (*_ENDINGS, _SEGMENTATION) if segmentations else _ENDINGS
    ending = next((one for one in endings if name.lower().endswith(one)), None)
    return None if ending is None else name[: -len(ending)]


def labels_in(folder: Path, segmentations: bool = False) -> dict[str, Path]:
    """Case -> its file in a folder; nothing where there is no folder. DataError for two files of one case."""
    found: dict[str, Path] = {}
    for path in visible(folder) if folder.is_dir() else []:
        stem = stem_of(path.name, segmentations)
        if stem is None or path.is_dir():
            continue
        if found.setdefault(stem, path) != path:
            raise DataError("Two label files are both of one case.", "Keep the one that is meant.")
    return found
