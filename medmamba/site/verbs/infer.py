"""Segment every case."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ..events import Event
from ..exits import ExitCode, code_of_run
from ..log import Log
from ..modes import Mode
from ..pseudonyms import write_private_list
from ..session import Session

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.predictor import Predictor
    from ..record import CaseResult, Record

PRIVATE = "private/cases.csv"


def infer(session: Session) -> ExitCode:
    """A label map a case; bad cases are told and passed over."""
    mode = session.begin()
    _ = session.names  # a site key that cannot be used is said before anything is loaded
    session.keep_log(mode)
    model = session.model()
    if session.options.output_format == "dicom-seg":
        from ...predict.files.segmentation import require_writable

        require_writable(session.options.raw_labels)
    cases, predictor = session.cases(mode, model.recipe), session.predictor(model)
    record = _segment(session, mode, cases, predictor)
    session.count(record.written, len(record.failed), record.left)
    record.exit_code = code_of_run(record.written, [case.code for case in record.failed], record.left)
    missing = [case for case in record.cases if case.status != "failed" and not mode.target(case.name).is_file()]
    if missing and record.exit_code == ExitCode.OK:  # somebody else removed it
        record.exit_code = ExitCode.SOME_FAILED
    record.write()
    return record.exit_code


def _segment(session: Session, mode: Mode, cases: Sequence["Case"], predictor: "Predictor") -> "Record":
    """The record of all cases, or of those that were reached before the process was asked to stop."""
    from ...stopping import stop_requests
    from ..record import Record, machine, recorded
    from ..work import Work

    options, digest, names = session.options, predictor.model.digest, session.names
    done = recorded(mode, digest, options) if options.resume else frozenset()
    files = names.of_files(file for case in cases for file in case.files)
    session.record = record = Record(mode, options, digest, machine(predictor), files, len(cases))
    record.write()
    raw = predictor.model.label_map is not None and (mode.raw_labels or options.raw_labels)
    if options.raw_labels and not raw:
        raise ConfigError("The bundle does not know the labels of its dataset.", "Leave --raw-labels away.")
    with stop_requests() as stop:
        work = Work(predictor, mode, names, raw, done, stop, session.debug)
        for result in work.results(cases, lambda case: session.log.write(Event.CASE_STARTED, case)):
            _tell(session.log, result)
            record.cases.append(result)
            record.write()
        if stop:
            session.log.write(Event.STOP_ASKED, signal=stop.name)
    if options.private_list:
        write_private_list(mode.output / PRIVATE, {case.pseudonym: case.name for case in record.cases})
    return record


def _tell(log: Log, result: "CaseResult") -> None:
    if result.status == "failed":
        log.write(Event.CASE_FAILED, result.pseudonym, error=result.error, fault=result.fault)
    elif result.status == "kept":
        log.write(Event.CASE_KEPT, result.pseudonym)
    else:
        log.write(Event.CASE_WRITTEN, result.pseudonym, **result.numbers())
