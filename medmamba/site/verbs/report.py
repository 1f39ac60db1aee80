"""A page about what was predicted, for the site's own eyes: it shows images."""

import tempfile
from pathlib import Path

from ...errors import DataError
from ..events import Event
from ..exits import ExitCode
from ..modes.base import Made
from ..modes.native import Native
from ..pairing import labels_in
from ..pseudonyms import write_private_list
from ..scoring import StoppedInScoringError
from ..session import Session
from ..showing import stage
from .evaluate import scored_by
from .infer import PRIVATE


def report(session: Session) -> ExitCode:
    """Write report.html: scores where there are labels, and some cases as pictures, by pseudonym.

    Raises DataError where nothing was predicted.
    """
    from ...report import write_report

    mode = session.begin()
    assert isinstance(mode, Native)  # no other mode has this verb
    session.keep_log(mode)
    model, made = session.model(), _made(session, mode)
    if not made:
        raise DataError("There is no prediction of any case.", "Predict first.")
    try:
        scored = scored_by(session, mode) if mode.has_references else None
    except StoppedInScoringError:
        return ExitCode.SOME_FAILED
    cases = session.cases(mode, model.recipe)
    real = sorted({*made, *(case.name for case in cases)})
    names = {session.shown(name): session.shown(name) for name in real}
    with tempfile.TemporaryDirectory(prefix="medmamba-report-") as folder:
        given = stage(Path(folder), cases, made, scored, session.shown)
        write_report(
            mode.page,
            metrics=given.metrics,
            images=given.images,
            predictions=given.predictions,
            references=given.references,
            model=session.bundle(),
            case_names=names,
        )
    session.log.write(Event.FILE_WRITTEN, file=mode.page.name)
    if session.options.private_list:  # without a site key the names on this page are those of this run
        write_private_list(mode.output / PRIVATE, {session.names.of_case(one): one for one in real})
    return ExitCode.OK


def _made(session: Session, mode: Native) -> Made:
    """Every label map with the reference of its name, which may be missing; of a run those that it made."""
    known, found = labels_in(mode.references), labels_in(mode.predictions, segmentations=True)
    return {case: (file, known.get(case)) for case, file in found.items() if session.made(case)}
