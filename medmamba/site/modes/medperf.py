"""MedPerf: volumes below /mlcommons/volumes, predictions alone in theirs."""

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
class MedPerf(Mode):
    """The task `infer` of a MedPerf model: the benchmark's evaluator reads all that lies among the predictions."""

    name = "medperf"
    DATA, OUTPUT = "/mlcommons/volumes/data", "/mlcommons/volumes/predictions"
    inputs = "CASE/CHANNEL.nii.gz, CASE_0000.nii.gz, or DICOM, as native"
    outputs = "CASE.nii.gz"

    @classmethod
    def fits(cls, options: Options) -> bool:
        """By the volume of the data."""
        return options.at(cls.DATA).is_dir()

    def find(self, recipe: "Recipe") -> list["Case"]:
        """See `finding.cases_in`."""
        return cases_in(self.data, recipe)

    def target(self, case: str) -> Path:
        """CASE.nii.gz."""
        return self.output / f"{case}.nii.gz"
