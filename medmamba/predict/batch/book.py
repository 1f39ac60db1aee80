"""The book that a batch keeps: its report on the disk after each case, and word of it to whoever watches."""

import time
from pathlib import Path

from ...errors import SetupError
from ..recipe import LoadedModel
from . import outputs
from .failures import reason
from .outputs import Staging
from .report import CaseReport, Report, dumps

_PAUSE = 1.0
"""Seconds between two writings of the report while outputs are only looked at."""


class Watcher:
    """Is told how a batch goes on; does nothing with it."""

    def start(self, report: Report) -> None:
        """Before the first case."""

    def case(self, name: str) -> None:
        """A case goes into the network."""

    def tile(self, done: int, total: int) -> None:
        """The network has done so many of this case's tiles."""

    def done(self, case: CaseReport, report: Report) -> None:
        """A case is done, kept or failed."""

    def message(self, text: str) -> None:
        """A sentence for the user."""

    def end(self, report: Report) -> None:
        """The batch is over, finished or stopped."""


class Book:
    """The report of a batch, kept on the disk after each case."""

    def __init__(self, report: Report, place: Staging, name: str, watcher: Watcher) -> None:
        self.report, self.watcher = report, watcher
        self._place, self._name = place, name
        self._written = 0.0
        self._full = False

    @property
    def file(self) -> Path:
        """Where the report lies."""
        return self._place.output / self._name

    def begin(self, model: LoadedModel) -> None:
        """Write what goes with all cases, and a first report: older outputs must not be taken for this batch's."""
        self.write()
        try:
            outputs.write_model_files(self._place, model.plans, model.dataset)
        except (OSError, SetupError) as error:
            self.watcher.message(f"plans.json and dataset.json cannot be written: {reason(error)}.")
        for note in model.notes:
            self.watcher.message(note)
        self.watcher.start(self.report)

    def add(self, case: CaseReport) -> None:
        """Note a case on the disk and tell it."""
        self.report.add(case)
        if case.status != "kept" or time.monotonic() - self._written > _PAUSE:
            self.write()
        self.watcher.done(case, self.report)

    def write(self) -> None:
        """Write the report; a full disk is told once and does not end the batch."""
        try:
            self._place.write_text(self._name, dumps(self.report.as_json()))
        except (OSError, SetupError) as error:
            if not self._full:
                self.watcher.message(f"The report {self.file} cannot be written: {reason(error)}.")
            self._full = True
        self._written = time.monotonic()

    def end(self, how: str) -> None:
        """Note how the batch ended."""
        self.report.ended = how
        self.write()
        self.watcher.end(self.report)
