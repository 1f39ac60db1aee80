"""BraTS since 2025: subjects in /input, one file a subject in /output and nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BundleError
from ..arguments import Options
from ..finding import canonical, case_folders
from .base import Mode

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe

CONTRASTS = ("t1c", "t1n", "t2f", "t2w")


@dataclass(frozen=True)
class Brats2025(Mode):
    """Whatever the separator before a contrast's name is, and whichever of its usual names it has."""

    name = "brats-2025"
    DATA, OUTPUT = "/input", "/output"
    raw_labels = True
    inputs = "SUBJECT/SUBJECT-{t1c,t1n,t2f,t2w}.nii.gz"
    outputs = "SUBJECT.nii.gz"

    @classmethod
    def fits(cls, options: Options) -> bool:
        """By a contrast in a subject's folder."""
        data = options.data or options.at(cls.DATA)
        return any(path.parent.is_dir() for path in data.glob("*/*[-_]t1c.nii.gz"))

    def find(self, recipe: "Recipe") -> list["Case"]:
        """A case a folder. BundleError for a model of other images."""
        if other := sorted({canonical(name) for name in recipe.channels} - set(CONTRASTS)):
            raise BundleError(f"The bundle's channels are not those of BraTS: {', '.join(other)}.")
        return case_folders(self.data, recipe)

    def target(self, case: str) -> Path:
        """SUBJECT.nii.gz."""
        return self.output / f"{case}.nii.gz"
