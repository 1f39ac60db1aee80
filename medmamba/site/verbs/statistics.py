"""Counts and grids of prepared cases, as far as they stand for many."""

from ..events import Event
from ..exits import ExitCode, code_of_run
from ..inspecting import numbers_of, prepared_cases
from ..pairing import labels_in
from ..session import Session
from ..written import write_document


def statistics(session: Session) -> ExitCode:
    """Write the statistics where the mode has them. Cases that cannot be read are counted and left out."""
    mode = session.begin()
    session.keep_log(mode)
    cases, recipe = prepared_cases(session, mode)
    content, failed = numbers_of(session, cases, recipe, labels_in(mode.references))
    code = code_of_run(len(cases) - len(failed), failed)
    if len(failed) < len(cases):
        write_document(mode.statistics, content)
        session.log.write(Event.FILE_WRITTEN, file=mode.statistics.name)
    session.count(len(cases) - len(failed), len(failed))
    return code
