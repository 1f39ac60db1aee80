"""All that the inputs allow."""

from collections.abc import Callable, Mapping

from ..exits import ExitCode
from ..session import Session

Verb = Callable[[Session], ExitCode]


def run(session: Session, verbs: Mapping[str, Verb]) -> ExitCode:
    """The steps of the mode, in order, as long as there is something to go on with.

    Cases that failed do not keep the others from being scored; being asked to stop does.
    """
    worst = ExitCode.OK
    mode = session.begin()
    for step in mode.steps():
        code = verbs[step](session)
        worst = max(worst, code)
        stopped = session.stopped or (session.counts is not None and session.counts.left)
        if step == "infer" and session.counts is not None and session.counts.written:
            for file in mode.summaries:  # of an earlier run: the label maps are others now
                file.unlink(missing_ok=True)
        if code not in (ExitCode.OK, ExitCode.SOME_FAILED) or stopped:
            break
    return worst
