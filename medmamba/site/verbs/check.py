"""Look at every input and at what it takes in memory; nothing is written."""

from typing import TYPE_CHECKING

from ..events import Event
from ..exits import ExitCode, code_of
from ..faults import fault_of, warning_of
from ..session import Session

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.predictor import Predictor


def check(session: Session) -> ExitCode:
    """Read every input to its end and reckon its memory."""
    from ..work import require_form

    mode = session.begin()
    model = session.model()
    cases, predictor, names = session.cases(mode, model.recipe), session.predictor(model), session.names
    failed = []
    for case in cases:
        pseudonym = names.of_case(case.name)
        try:
            require_form(case, mode.target(case.name))
            shape, spacing, warnings = _looked_at(case, predictor)
        except Exception as error:
            session.debug(error)
            failed.append(code_of(error))
            session.log.write(Event.CASE_FAILED, pseudonym, error=type(error).__name__, fault=fault_of(error))
        else:
            session.log.write(Event.CASE_GOOD, pseudonym, shape=shape, spacing=spacing, warnings=warnings)
    session.count(0, len(failed))
    return max(failed, key=lambda code: code == ExitCode.INPUT, default=ExitCode.OK)


def _looked_at(case: "Case", predictor: "Predictor") -> tuple[list[int], list[float], list[str]]:
    """Shape (z, y, x), spacing and codes of warnings of a case that can be segmented here."""
    from ...predict.files import images
    from ...predict.files.headers import probe

    predictor.plan(probe(case, predictor.recipe), case.name)
    image = images.read(case, predictor.recipe)
    told = list(dict.fromkeys(map(warning_of, image.warnings)))
    return list(map(int, image.data.shape[1:])), [round(float(size), 6) for size in image.spacing], told
