"""Cases into label maps: one after the other, bad ones told and passed over, every output whole."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..predict.batch import outputs
from ..predict.batch.ahead import Ahead
from ..predict.batch.outputs import Staging, staging
from ..predict.files.cases import Case
from ..predict.files.headers import probe
from ..predict.files.segmentation import require_source
from ..predict.files.writing import SEGMENTATION
from ..predict.peak import PeakMemory
from ..predict.predictor import Predictor
from ..stopping import StopRequest
from .exits import code_of
from .faults import fault_of, warning_of
from .modes import Mode
from .pseudonyms import Pseudonyms
from .record import CaseResult

OnError = Callable[[BaseException], None]


class StoppedInCaseError(Exception):
    """A case was left because the process was asked to stop."""


def require_form(case: Case, target: Path) -> None:
    """Raise DataError when the output would be a DICOM segmentation and the case is no series it can refer to."""
    if target.suffix != SEGMENTATION:
        return
    if case.kind != "dicom":
        raise DataError(f"{case.files[0]} is no DICOM series.", "Leave --output-format away.")
    require_source(case)


@dataclass(frozen=True)
class _Ready:
    """A case that can go into the network, or what became of it."""

    case: Case
    prepared: Any = None
    result: CaseResult | None = None


class Work:
    """The cases of one run.

    Parameters
    ----------
    predictor: of the bundle's model.
    mode: where outputs go.
    names: what cases are called in results.
    raw_labels: write the label values of the model's own dataset.
    done: pseudonyms of cases whose outputs may stay when they are complete.
    stop: ends the work at the next tile.
    on_error: is shown every error of a case, for `--debug`.
    """

    def __init__(
        self,
        predictor: Predictor,
        mode: Mode,
        names: Pseudonyms,
        raw_labels: bool,
        done: frozenset[str],
        stop: StopRequest,
        on_error: OnError,
    ) -> None:
        self._predictor, self._mode, self._names, self._stop = predictor, mode, names, stop
        self._raw_labels, self._done, self._on_error = raw_labels, done, on_error

    def results(self, cases: Sequence[Case], on_start: Callable[[str], None]) -> Iterator[CaseResult]:
        """What became of each case, in order, until the end or until asked to stop.

        on_start: is told the pseudonym of a case that goes into the network.

        Raises SetupError when nothing can be written.
        """
        with ExitStack() as stack:
            folders = {self._mode.target(case.name).parent for case in cases}
            places = {folder: stack.enter_context(staging(folder)) for folder in sorted(folders)}
            ahead = Ahead(cases, self._prepare, 1, self._predictor.ahead)
            for ready in ahead.in_order(lambda: bool(self._stop)):
                try:
                    yield ready.result or self._finish(ready, places, on_start)
                except StoppedInCaseError:
                    return
                del ready  # the next one needs its memory

    def _prepare(self, case: Case) -> _Ready:
        """Never raises: it runs in a thread, and what is wrong with one case is told of this case."""
        try:
            if self._is_there(case):
                return _Ready(case, result=CaseResult(case.name, self._names.of_case(case.name), "kept"))
            recipe, target = self._predictor.recipe, self._mode.target(case.name)
            require_form(case, target)
            outputs.require_no_folder(target)
            outputs.require_space(target.parent, probe(case, recipe).shape, recipe, False)
            return _Ready(case, self._predictor.prepare(case))
        except Exception as error:
            return _Ready(case, result=self._failed(case, error))

    def _is_there(self, case: Case) -> bool:
        if self._names.of_case(case.name) not in self._done:
            return False
        return outputs.is_complete(self._mode.target(case.name), case, self._predictor.recipe, False)

    def _finish(self, ready: _Ready, places: dict[Path, Staging], on_start: Callable[[str], None]) -> CaseResult:
        case, prepared = ready.case, ready.prepared
        target = self._mode.target(case.name)
        on_start(self._names.of_case(case.name))
        started = time.monotonic()
        try:
            with PeakMemory() as peak, places[target.parent].case(target.name) as file:
                notes = self._predictor.finish(prepared, file, on_tile=self._look_for_stop, raw_labels=self._raw_labels)
        except StoppedInCaseError:
            raise
        except Exception as error:
            return replace(self._failed(case, error), seconds=round(time.monotonic() - started, 3))
        return CaseResult(
            name=case.name,
            pseudonym=self._names.of_case(case.name),
            status="written",
            shape=tuple(map(int, prepared.place.shape)),
            spacing=tuple(round(float(size), 6) for size in prepared.spacing),
            seconds=round(sum(notes.seconds.values()), 3),
            peak_memory=peak.bytes,
            gpu_memory=notes.gpu_memory,
            warnings=tuple(dict.fromkeys(map(warning_of, notes.warnings))),
        )

    def _look_for_stop(self, done: int, total: int) -> None:
        if self._stop and done < total:
            raise StoppedInCaseError

    def _failed(self, case: Case, error: Exception) -> CaseResult:
        self._on_error(error)
        name = self._names.of_case(case.name)
        kind, fault = type(error).__name__, fault_of(error)
        return CaseResult(case.name, name, "failed", error=kind, fault=fault, code=code_of(error))
