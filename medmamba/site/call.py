"""From arguments to an exit code, whatever goes wrong between."""

import time
from collections.abc import Sequence

from .arguments import parse
from .events import Event
from .exits import ExitCode, code_of
from .faults import FAULTS, fault_of
from .session import Session
from .streams import own_streams
from .verbs import BY_NAME


def call(arguments: Sequence[str]) -> int:
    """Do what the container is called for; returns the exit code of `exits.ExitCode`."""
    try:
        options = parse(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    with own_streams(options.debug) as screen:
        session, started = Session(options, screen), time.monotonic()
        try:
            code = BY_NAME[options.verb](session)
        except (Exception, KeyboardInterrupt) as error:
            code = _refuse(session, error)
        if options.verb != "describe":
            session.close(code, time.monotonic() - started)
    return int(code)


def _refuse(session: Session, error: BaseException) -> ExitCode:
    """Tell what ended the run, by the kind of the error and a sentence of ours."""
    code, fault = code_of(error), fault_of(error)
    session.debug(error)
    session.log.write(Event.REFUSED, error=type(error).__name__, fault=fault)
    session.screen.complain(str(FAULTS[fault]))
    return code
