"""The files of one case in memory, as far as they can be read and lie on one grid."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .find import CaseFiles
from .names import Names
from .volumes import Volume, read_labels, read_volume


@dataclass(frozen=True, eq=False)
class Loaded:
    """One case; all arrays (x, y, z) on one grid."""

    images: tuple[Volume, ...]
    """A channel each; none where the image is missing."""
    found: NDArray[np.int32] | None
    """The prediction."""
    truth: NDArray[np.int32] | None
    """The reference; what is not scored is background in it and in the prediction."""
    base: Volume
    """Whose grid it is."""
    sentences: tuple[str, ...]
    """What is missing, and why."""

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        return self.base.size

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along x, y, z."""
        return self.base.spacing

    @property
    def placed(self) -> bool:
        """Whether the axes are those of a body."""
        return self.base.placed

    @property
    def measured(self) -> bool:
        """Whether lengths are known: pictures have none."""
        return self.base.placed or any(edge != 1 for edge in self.spacing[:2])


def load(files: CaseFiles, names: Names, scored: Collection[int] = ()) -> Loaded | str:
    """The case, or a sentence that says why there is nothing to show.

    `scored`: label values that are; others in the reference (nnU-Net's "ignore") are shown nowhere. Empty: all are.
    """
    told = [f"Its {what} was not found." for what in files.missing]
    images = [_read(path, "image", names, told) for path in files.channels]
    found = _read(files.prediction, "prediction", names, told)
    truth = _read(files.reference, "reference", names, told)
    there = [one for one in (*images, truth, found) if one is not None]
    if not there:
        return "No file of this case can be shown. " + " ".join(told)
    base = there[0]
    kept = tuple(one for one in images if one is not None and _fits(one, base, "image", told))
    labels = [None if one is None or not _fits(one, base, what, told) else one.voxels
              for one, what in ((found, "prediction"), (truth, "reference"))]  # fmt: skip
    _forget(labels, scored)
    if not kept and files.channels:
        told.append("The outlines are shown without it.")
    return Loaded(kept, labels[0], labels[1], base, tuple(dict.fromkeys(told)))


def _read(path: Path | None, what: str, names: Names, told: list[str]) -> Volume | None:
    if path is None:
        return None
    try:
        return read_volume(path) if what == "image" else read_labels(path)
    except DataError as error:
        told.append(names.told(f"Its {what} cannot be shown: {error.problem}", f"Its {what} cannot be read."))
    except MemoryError:
        told.append(f"Its {what} is too large for this machine's memory.")
    except OSError as error:
        told.append(f"Its {what} cannot be read ({error.strerror}).")
    return None


def _fits(one: Volume, base: Volume, what: str, told: list[str]) -> bool:
    fits = one is base or one.fits(base)
    if not fits:
        told.append(f"Its {what} lies on another grid than the rest and is not shown.")
    return fits


def _forget(labels: list[NDArray[Any] | None], scored: Collection[int]) -> None:
    """Make background what is not scored, in both label maps where the reference has it."""
    found, truth = labels
    if not scored:
        return
    known = np.array(sorted({0, *scored}))
    if truth is not None:
        strange = ~np.isin(truth, known)
        truth[strange] = 0
        if found is not None:
            found[strange] = 0
