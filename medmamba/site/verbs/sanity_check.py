"""Look at prepared cases and their labels; nothing is written."""

from ..events import Event
from ..exits import ExitCode
from ..inspecting import prepared_cases
from ..pairing import labels_in
from ..session import Session
from .prepare import examine


def sanity_check(session: Session) -> ExitCode:
    """Every case is complete, readable, on one grid with its labels, and these are declared."""
    mode = session.begin()
    cases, recipe = prepared_cases(session, mode)
    return examine(session, cases, recipe, labels_in(mode.references), Event.CASE_GOOD)
