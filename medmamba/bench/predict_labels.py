"""Two folders of label maps, voxel by voxel: how many labels are the same, and whether the others are ties."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import DataError

TIE = 0.02
"""Two labels are tied when the logarithms of their probabilities differ by less: a few steps of the 16-bit floats that
nnU-Net adds logits up in (steps of 0.004 to 0.008 for logits between 4 and 16)."""


@dataclass(frozen=True)
class CaseAgreement:
    """One case."""

    case: str
    voxels: int
    differing: int
    foreground: int
    """Voxels that either label map calls foreground."""
    same_grid: bool
    """Whether size, spacing, origin and direction agree."""
    ties: int | None = None
    """Of the differing voxels; None: not looked at."""
    widest: float | None = None
    """Largest distance of the two labels' log probabilities among the differing voxels."""

    @property
    def same(self) -> float:
        """Share of voxels with the same label, 0 to 1."""
        return 1 - self.differing / self.voxels


@dataclass(frozen=True)
class Agreement:
    """All cases of a folder."""

    cases: tuple[CaseAgreement, ...]

    @property
    def voxels(self) -> int:
        """Of all cases."""
        return sum(case.voxels for case in self.cases)

    @property
    def differing(self) -> int:
        """Voxels with another label, of all cases."""
        return sum(case.differing for case in self.cases)

    @property
    def same(self) -> float:
        """Share of all voxels with the same label."""
        return 1 - self.differing / self.voxels

    @property
    def worst(self) -> CaseAgreement:
        """The case with the lowest share."""
        return min(self.cases, key=lambda case: case.same)

    @property
    def ties(self) -> int | None:
        """Differing voxels that are ties, of all cases; None: not looked at."""
        known = [case.ties for case in self.cases if case.ties is not None]
        return sum(known) if len(known) == len(self.cases) else None

    @property
    def same_grid(self) -> bool:
        """Whether every label map has the geometry of its counterpart."""
        return all(case.same_grid for case in self.cases)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        totals = ("voxels", "differing", "same", "ties", "same_grid")
        whole = {name: getattr(self, name) for name in totals}
        return {**whole, "lowest": self.worst.same, "cases": [asdict(case) for case in self.cases]}


def agreement(theirs: Path, ours: Path, ending: str = ".nii.gz", probabilities: Path | None = None) -> Agreement:
    """Hold the label maps of `ours` against those of the same names in `theirs`.

    `probabilities`: folder of nnU-Net's CASE.npz of theirs, to tell ties; without it none are told. DataError when a
    case is missing on one side.
    """
    names = sorted(path.name for path in theirs.glob(f"*{ending}"))
    if names != (found := sorted(path.name for path in ours.glob(f"*{ending}"))) or not names:
        odd = ", ".join(sorted(set(names) ^ set(found))) or "all"
        raise DataError(f"Label maps are missing on one side: {odd}.", f"See {theirs} and {ours}.")
    return Agreement(
        tuple(_case(name.removesuffix(ending), theirs / name, ours / name, probabilities) for name in names)
    )


def _case(case: str, theirs: Path, ours: Path, probabilities: Path | None) -> CaseAgreement:
    images = sitk.ReadImage(str(theirs)), sitk.ReadImage(str(ours))
    wanted, found = (sitk.GetArrayFromImage(image) for image in images)
    if wanted.shape != found.shape:
        raise DataError(f"{ours} has {found.shape} voxels, {theirs} has {wanted.shape}.", "")
    differs = wanted != found
    distances = None
    if probabilities is not None:
        with np.load(probabilities / f"{case}.npz") as content:
            distances = gaps(content["probabilities"], wanted, found)
    return CaseAgreement(
        case,
        wanted.size,
        int(differs.sum()),
        int(((wanted > 0) | (found > 0)).sum()),
        _same_grid(*images),
        None if distances is None else int((distances < TIE).sum()),
        None if distances is None else float(distances.max(initial=0.0)),
    )


def gaps(probabilities: NDArray[Any], wanted: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """How far apart (logarithms) the probabilities of the two labels are, for each voxel whose label differs.

    probabilities: (classes, *size), a class for each label value. wanted, found: (*size). Result: one number a voxel.
    """
    where = np.nonzero(wanted != found)
    pair = [np.log(probabilities[(labels[where], *where)].astype(np.float64)) for labels in (wanted, found)]
    return np.abs(pair[0] - pair[1])


def _same_grid(one: sitk.Image, other: sitk.Image) -> bool:
    names = ("GetSpacing", "GetOrigin", "GetDirection")
    return all(np.allclose(getattr(one, name)(), getattr(other, name)(), atol=1e-5) for name in names)
