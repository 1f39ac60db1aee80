"""One case from its files to its outputs, whichever process of a batch has it."""

import os
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...errors import ConfigError
from ...stopping import StopRequest
from ..files.cases import Case
from ..files.headers import probe
from ..files.segmentation import require_source, require_writable
from ..files.writing import OutputFormat, output_name, roi_values
from ..peak import PeakMemory
from ..recipe import LoadedModel, Recipe
from . import outputs
from .failures import reason
from .outputs import Staging
from .report import CaseReport


class Segmenter(Protocol):
    """What a batch asks of a predictor; `predictor.Predictor` is one."""

    model: LoadedModel

    def description(self) -> Mapping[str, Any]:
        """What the network runs on and how, for the report."""

    def ahead(self, case: Case) -> bool:
        """Whether there is memory to prepare this case while another one is in the network."""

    def prepare(self, case: Case, probabilities: bool = False) -> Any:
        """Read, check and preprocess; in any thread. probabilities: `finish` will write them."""

    def finish(
        self,
        prepared: Any,
        file: Path,
        probabilities: bool = False,
        on_tile: Callable[[int, int], None] | None = None,
        roi: Collection[int] | None = None,
        raw_labels: bool = False,
    ) -> Any:
        """Network, export, writing -> `seconds`, `warnings`, `labels`, `gpu_memory`."""


@dataclass(frozen=True)
class Wanted:
    """What is written for each case."""

    probabilities: bool = False
    roi: frozenset[int] | None = None
    """Only these label values; None: all."""
    raw_labels: bool = False
    """In the label values of the dataset as it was downloaded."""
    output_format: OutputFormat = "auto"

    @classmethod
    def of(
        cls,
        model: LoadedModel,
        probabilities: bool,
        roi: Sequence[str] | None,
        raw_labels: bool,
        output_format: OutputFormat = "auto",
    ) -> "Wanted":
        """The wishes of a user.

        Raises ConfigError for labels, or a way back to raw ones, that the model lacks, and for raw ones in DICOM
        segmentations; SetupError where the packages for these are missing.
        """
        if output_format == "dicom-seg":
            require_writable(raw_labels)
        if raw_labels and model.label_map is None:
            raise ConfigError(
                f"{model.name} has no label_map.json, so that raw label values are not known.",
                "Leave --raw-labels away; models of datasets made by `medmamba datasets prepare` have one.",
            )
        return cls(probabilities, None if roi is None else roi_values(roi, model.recipe), raw_labels, output_format)

    def name(self, case: Case, recipe: Recipe) -> str:
        """File name of a case's label map."""
        return output_name(case, recipe, self.output_format)


class InterruptedCaseError(Exception):
    """A case was left in the middle because the process was asked to stop."""


@dataclass(frozen=True)
class Ready:
    """A case that can go into the network, or what became of it before that."""

    case: Case
    prepared: Any = None
    report: CaseReport | None = None


class CaseWork:
    """One case from its files to its outputs, in two halves of which the first may run in another thread."""

    def __init__(self, predictor: Segmenter, place: Staging, wanted: Wanted, stop: StopRequest) -> None:
        self._predictor, self._place, self._wanted, self._stop = predictor, place, wanted, stop

    def prepare(self, case: Case) -> Ready:
        """The first half. Never raises: what is wrong with a case is in its report."""
        recipe = self._predictor.model.recipe
        try:
            outputs.require_no_folder(self._place.output / self._wanted.name(case, recipe))
            outputs.require_space(self._place.output, probe(case, recipe).shape, recipe, self._wanted.probabilities)
            if self._wanted.output_format == "dicom-seg":
                require_source(case)
            return Ready(case, prepared=self._predictor.prepare(case, self._wanted.probabilities))
        except Exception as error:  # whatever is wrong with one case, the others are still wanted
            return Ready(case, report=_failed(case, error))

    def finish(self, ready: Ready, on_tile: Callable[[int, int], None]) -> CaseReport:
        """The second half. Raises nothing but InterruptedCaseError."""

        def tile(done: int, total: int) -> None:
            on_tile(done, total)
            if self._stop and done < total:
                raise InterruptedCaseError

        if ready.report is not None:
            return ready.report
        wanted = self._wanted
        name = wanted.name(ready.case, self._predictor.model.recipe)
        try:
            with PeakMemory() as peak, self._place.case(name) as file:
                notes = self._predictor.finish(
                    ready.prepared,
                    file,
                    wanted.probabilities,
                    on_tile=tile,
                    roi=wanted.roi,
                    raw_labels=wanted.raw_labels,
                )
        except InterruptedCaseError:
            raise
        except Exception as error:
            return _failed(ready.case, error, peak.bytes, self._place)
        seconds = {stage: round(value, 3) for stage, value in notes.seconds.items()}
        gpu, warnings = getattr(notes, "gpu_memory", None), tuple(notes.warnings)
        return CaseReport(ready.case.name, "done", name, seconds, peak.bytes, gpu, tuple(notes.labels), warnings)


def _failed(case: Case, error: Exception, peak: int | None = None, place: Staging | None = None) -> CaseReport:
    if os.environ.get("MEDMAMBA_DEBUG") == "1":
        traceback.print_exception(error)
    text = reason(error) if place is None else place.as_outside(reason(error))
    return CaseReport(case.name, "failed", peak_memory=peak, error=text)
