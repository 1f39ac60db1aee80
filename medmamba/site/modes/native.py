"""Our own convention: cases in /input, predictions/, run.json and log.jsonl in /output."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import Options
from ..finding import cases_in
from .base import Mode

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe


@dataclass(frozen=True)
class Native(Mode):
    """Hospitals: any number of cases, in any of the usual forms."""

    name = "native"
    DATA, OUTPUT = "/input", "/output"
    records = True
    inputs = (
        "cases/CASE/CHANNEL.nii.gz, CASE_0000.nii.gz (nnU-Net; also .mha, .nrrd), a folder of DICOM slices a case, or "
        "CASE/CHANNEL/ with DICOM slices"
    )
    outputs = "predictions/CASE.nii.gz"

    @classmethod
    def fits(cls, options: Options) -> bool:
        """Always: it is what is left."""
        return True

    def find(self, recipe: "Recipe") -> list["Case"]:
        """See `finding.cases_in`."""
        return cases_in(self.data, recipe)

    def target(self, case: str) -> Path:
        """predictions/CASE.nii.gz."""
        return self.output / "predictions" / f"{case}.nii.gz"
