"""Which files belong to a case: channels of the image, the prediction, the reference."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..predict.files.cases import PICTURES, VOLUMES
from ..predict.files.dicom import holds_dicom

_ENDINGS = tuple(sorted((*VOLUMES, *PICTURES), key=len, reverse=True))
_CHANNEL = re.compile(r"(.+)_(\d{4})", re.DOTALL)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case."""

    channels: tuple[Path, ...] = ()
    prediction: Path | None = None
    reference: Path | None = None
    missing: tuple[str, ...] = ()
    """Which of image, prediction and reference are not in the folder that was given for them."""


@dataclass(frozen=True)
class Folders:
    """What lies in the three folders; None: it was not given."""

    images: Mapping[str, tuple[Path, ...]] | None = None
    predictions: Mapping[str, Path] | None = None
    references: Mapping[str, Path] | None = None

    def of(self, case: str) -> CaseFiles:
        """The files of a case."""
        given = {"image": self.images, "prediction": self.predictions, "reference": self.references}
        missing = tuple(what for what, files in given.items() if files is not None and case not in files)
        found = (self.predictions or {}).get(case), (self.references or {}).get(case)
        return CaseFiles((self.images or {}).get(case, ()), *found, missing)


def look(images: Path | None, predictions: Path | None, references: Path | None) -> Folders:
    """List the folders. DataError where one is none."""
    return Folders(
        None if images is None else _channels(images),
        None if predictions is None else _labels(predictions),
        None if references is None else _labels(references),
    )


def _entries(folder: Path) -> list[tuple[str, Path]]:
    """(name without ending, path) of what may be an image, by name; series of DICOM files are folders."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}.", "Name a folder of images.") from error
    found = []
    for path in paths:
        ending = next((one for one in _ENDINGS if path.name.lower().endswith(one)), "")
        if ending:
            found.append((path.name[: -len(ending)], path))
        elif path.is_dir() and holds_dicom(one for one in sorted(path.iterdir()) if one.is_file()):
            found.append((path.name, path))
    return found


def _labels(folder: Path) -> dict[str, Path]:
    return dict(reversed([(stem, path) for stem, path in _entries(folder) if path.is_file()]))


def _channels(folder: Path) -> dict[str, tuple[Path, ...]]:
    """CASE_0000, CASE_0001, ... as the channels of CASE; every file also under its own name."""
    groups: dict[str, list[Path]] = {}
    alone: dict[str, tuple[Path, ...]] = {}
    for stem, path in _entries(folder):
        alone.setdefault(stem, (path,))
        if match := _CHANNEL.fullmatch(stem):
            groups.setdefault(match[1], []).append(path)
    return alone | {case: tuple(paths) for case, paths in groups.items() if case not in alone}
