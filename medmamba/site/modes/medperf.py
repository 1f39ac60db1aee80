"""MedPerf: volumes below /mlcommons/volumes, each task with its own; predictions alone in theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..arguments import Options
from ..finding import cases_in
from ..pairing import pairs_in
from .base import Mode, Pairs

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe

VOLUMES = "/mlcommons/volumes"
_RAW, _DATA, _LABELS, _PREDICTIONS = "raw_data", "data", "labels", "predictions"


@dataclass(frozen=True)
class MedPerf(Mode):
    """A model (`infer`), a data preparator (`prepare`, `sanity_check`, `statistics`) and an evaluator (`evaluate`).

    The benchmark's evaluator reads all that lies among the predictions, and a report goes to a server: neither holds
    anything else.
    """

    labels: Path = Path(VOLUMES, _LABELS)
    """Of the prepared data."""
    raw_labels_folder: Path = Path(VOLUMES, "raw_labels")
    made: Path = Path(VOLUMES, _PREDICTIONS)
    """Label maps to be scored."""
    volumes: Path = Path(VOLUMES)
    verb: str = "infer"

    name = "medperf"
    DATA, OUTPUT = f"{VOLUMES}/{_DATA}", f"{VOLUMES}/{_PREDICTIONS}"
    verbs = ("run", "infer", "check", "prepare", "sanity_check", "statistics", "evaluate", "selftest")
    inputs = "CASE/CHANNEL.nii.gz, CASE_0000.nii.gz, or DICOM, as native"
    outputs = "CASE.nii.gz"
    tasks: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "prepare": {"reads": f"{VOLUMES}/raw_data, raw_labels", "writes": f"{VOLUMES}/data, labels"},
        "sanity_check": {"reads": f"{VOLUMES}/data, labels", "writes": "nothing"},
        "statistics": {"reads": f"{VOLUMES}/data, labels", "writes": f"{VOLUMES}/statistics/statistics.yaml"},
        "evaluate": {"reads": f"{VOLUMES}/predictions, labels", "writes": f"{VOLUMES}/results/results.yaml"},
        "all": {"reads": f"{VOLUMES}/parameters/parameters_file.yaml, parameters.yaml", "writes": "nothing"},
    }

    @classmethod
    def of(cls, options: Options) -> "MedPerf":
        """With the volumes of the task."""
        home, prepares = options.at(VOLUMES), options.verb == "prepare"
        data = options.data or home / (_RAW if prepares else _DATA)
        output = options.output or home / (_DATA if prepares else _PREDICTIONS)
        labels = options.labels if options.labels is not None and not prepares else home / _LABELS
        raw = options.labels if options.labels is not None and prepares else home / "raw_labels"
        return cls(data, output, labels, raw, options.predictions or home / _PREDICTIONS, home, options.verb)

    @classmethod
    def fits(cls, options: Options) -> bool:
        """By the volumes of one of the tasks."""
        home = options.at(VOLUMES)
        return any((home / name).is_dir() for name in (_DATA, _RAW, _LABELS))

    def find(self, recipe: "Recipe") -> list["Case"]:
        """See `finding.cases_in`."""
        return cases_in(self.data, recipe)

    def target(self, case: str) -> Path:
        """CASE.nii.gz."""
        return self.output / f"{case}.nii.gz"

    def steps(self) -> tuple[str, ...]:
        """Without data there is only what others predicted."""
        return ("infer",) if self.data.is_dir() else ("evaluate",)

    @property
    def references(self) -> Path:
        """Raw ones while data is prepared."""
        return self.raw_labels_folder if self.verb == "prepare" else self.labels

    @property
    def prepared(self) -> tuple[Path, Path]:
        """The volumes of the next tasks."""
        return self.output, self.labels

    @property
    def results(self) -> Path:
        """What goes to the server."""
        return self.volumes / "results" / "results.yaml"

    @property
    def statistics(self) -> Path:
        """What goes to the server, too."""
        return self.volumes / "statistics" / "statistics.yaml"

    def pairs(self) -> tuple[Pairs, int]:
        """By name."""
        return pairs_in(self.made, self.labels)
