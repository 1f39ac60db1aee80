"""Score predictions by reference labels; only what stands for many cases is written."""

from ..aggregates import challenge, document
from ..events import Event
from ..exits import ExitCode, code_of, code_of_run
from ..faults import fault_of
from ..modes import Mode
from ..rules import rules_for
from ..scoring import Scored, StoppedInScoringError, score
from ..session import Session
from ..written import write_document


def evaluate(session: Session) -> ExitCode:
    """Write the scores where the mode has them."""
    mode = session.begin()
    session.keep_log(mode)
    try:
        scored = scored_by(session, mode)
    except StoppedInScoringError:
        session.count(0, 0, len(mode.pairs()[0]))
        return ExitCode.SOME_FAILED
    _write(session, mode, scored)
    failed = [code_of(error) for error in scored.errors]
    session.count(len(scored.report.scores), len(failed))
    return code_of_run(len(scored.report.scores), failed)


def scored_by(session: Session, mode: Mode) -> Scored:
    """The scores of this run, worked out the first time.

    Raises DataError where nothing can be scored, StoppedInScoringError when the process was asked to stop.
    """
    from ...stopping import stop_requests

    if session.scored is not None:
        return session.scored
    options = session.options
    model = session.model_if_any() if options.dataset is not None else session.model()
    rules = rules_for(model, options, mode.raw_labels or options.raw_labels)
    pairs, surplus = mode.pairs()
    pairs = {case: (made if session.made(case) else None, reference) for case, (made, reference) in pairs.items()}
    session.log.write(Event.PAIRS_FOUND, pairs=len(pairs), surplus=surplus)

    def tell(case: str, error: BaseException | None) -> None:
        pseudonym = session.names.of_case(case)
        if error is None:
            session.log.write(Event.CASE_SCORED, pseudonym)
            return
        session.debug(error)
        session.log.write(Event.CASE_NOT_SCORED, pseudonym, error=type(error).__name__, fault=fault_of(error))

    with stop_requests() as stop:
        try:
            session.scored = score(pairs, rules, session.shown, tell, lambda: bool(stop))
        except StoppedInScoringError:
            session.log.write(Event.STOP_ASKED, signal=stop.name)
            session.stopped = True
            raise
    return session.scored


def _write(session: Session, mode: Mode, scored: Scored) -> None:
    model = session.model_if_any()
    digest = None if model is None else model.digest
    file = mode.results
    per_case = file.name == "metrics.json"  # a challenge's organisers own its cases
    content = challenge(scored, digest) if per_case else document(scored, session.options.min_cases, digest)
    write_document(file, content)
    session.log.write(Event.FILE_WRITTEN, file=file.name)
