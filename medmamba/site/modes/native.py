"""Our own convention: cases and labels in /input; predictions/, reports, run.json and log.jsonl in /output."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..arguments import Options
from ..finding import LABELS, cases_in, visible
from ..pairing import pairs_in
from .base import Mode, Pairs

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe


@dataclass(frozen=True)
class Native(Mode):
    """Hospitals: any number of cases, in any of the usual forms."""

    labels: Path | None = None
    """Folder of references, where it is named."""
    made: Path | None = None
    """Folder of label maps that were made elsewhere."""
    ending: str = ".nii.gz"
    """Of label maps."""

    name = "native"
    DATA, OUTPUT = "/input", "/output"
    verbs = ("run", "infer", "check", "prepare", "sanity_check", "statistics", "evaluate", "report", "selftest")
    records = True
    inputs = (
        "cases/CASE/CHANNEL.nii.gz, CASE_0000.nii.gz (nnU-Net; also .mha, .nrrd), a folder of DICOM slices a case, or "
        "CASE/CHANNEL/ with DICOM slices"
    )
    outputs = "predictions/CASE.nii.gz; CASE.dcm with --output-format dicom-seg"
    tasks: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "evaluate": {"reads": "/output/predictions, /input/labels/CASE.nii.gz", "writes": "/output/report.json"},
        "report": {"reads": "as evaluate, labels or not, and the images", "writes": "/output/report.html"},
        "prepare": {
            "reads": "as infer, and /input/labels/CASE.nii.gz",
            "writes": "/output/prepared/PSEUDONYM_0000.nii.gz, /output/prepared/labels/PSEUDONYM.nii.gz",
        },
        "sanity_check": {"reads": "what prepare wrote, mounted at /input", "writes": "nothing"},
        "statistics": {"reads": "what prepare wrote, mounted at /input", "writes": "/output/statistics.yaml"},
    }

    @classmethod
    def of(cls, options: Options) -> "Native":
        """With the folders that are named, and label maps in the format that was asked for."""
        data, output = options.data or options.at(cls.DATA), options.output or options.at(cls.OUTPUT)
        ending = ".dcm" if options.output_format == "dicom-seg" else ".nii.gz"
        return cls(data, output, options.labels, options.predictions, ending)

    @classmethod
    def fits(cls, options: Options) -> bool:
        """Always: it is what is left."""
        return True

    def find(self, recipe: "Recipe") -> list["Case"]:
        """See `finding.cases_in`."""
        return cases_in(self.data, recipe)

    def target(self, case: str) -> Path:
        """predictions/CASE.nii.gz, or .dcm."""
        return self.output / "predictions" / f"{case}{self.ending}"

    def steps(self) -> tuple[str, ...]:
        """Scores where there are labels."""
        return ("infer", "evaluate", "report") if self.has_references else ("infer", "report")

    @property
    def summaries(self) -> tuple[Path, ...]:
        """The two reports."""
        return self.results, self.page

    @property
    def has_references(self) -> bool:
        """Whether somebody put labels there; an empty folder is none."""
        return self.references.is_dir() and bool(visible(self.references))

    @property
    def references(self) -> Path:
        """labels beside the cases."""
        return self.labels or self.data / LABELS

    @property
    def predictions(self) -> Path:
        """Folder of label maps."""
        return self.made or self.output / "predictions"

    @property
    def prepared(self) -> tuple[Path, Path]:
        """Such that it can be the input of a further run."""
        return self.output / "prepared", self.output / "prepared" / LABELS

    @property
    def results(self) -> Path:
        """What may leave the hospital."""
        return self.output / "report.json"

    @property
    def page(self) -> Path:
        """What may not."""
        return self.output / "report.html"

    @property
    def statistics(self) -> Path:
        """Of prepared cases."""
        return self.output / "statistics.yaml"

    def pairs(self) -> tuple[Pairs, int]:
        """By name."""
        return pairs_in(self.predictions, self.references)
