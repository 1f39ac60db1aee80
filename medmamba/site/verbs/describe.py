"""Print the contract."""

import json

from ..contract import contract
from ..exits import ExitCode
from ..session import Session


def describe(session: Session) -> ExitCode:
    """Everything that is fixed, as JSON on the standard output."""
    session.screen.say(json.dumps(contract(), indent=2))
    return ExitCode.OK
