"""Raw images and labels into a folder of checked cases, named by pseudonyms, with fresh headers."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError, SetupError
from .. import preparing
from ..events import Event
from ..exits import ExitCode, code_of, code_of_run
from ..faults import fault_of, warning_of
from ..pairing import labels_in
from ..pseudonyms import write_private_list
from ..rules import rules_for
from ..session import Session
from .infer import PRIVATE

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe


def prepare(session: Session) -> ExitCode:
    """Write what can be used; every case that cannot is told."""
    mode = session.begin()
    recipe, names = session.recipe(), session.names
    images, labels = mode.prepared
    session.keep_log(mode)
    try:
        for folder in (images, labels):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError
    except OSError as error:
        raise SetupError("Nothing can be written to the output.", "Mount a folder of this user.") from error
    cases = session.cases(mode, recipe, images)
    if images.resolve() == mode.data.resolve():
        raise ConfigError("Prepared cases would lie among the raw ones.", "Choose another output folder.")

    def write(case: "Case", checked: preparing.Checked) -> None:
        preparing.write(checked, names.of_case(case.name), images, labels)

    code = examine(session, cases, recipe, labels_in(mode.references), Event.CASE_PREPARED, write)
    if session.options.private_list:
        write_private_list(mode.output / PRIVATE, {names.of_case(case.name): case.name for case in cases})
    return code


def examine(
    session: Session,
    cases: Sequence["Case"],
    recipe: "Recipe",
    references: dict[str, Path],
    good: Event,
    use: "Callable[[Case, preparing.Checked], None]" = lambda case, checked: None,
) -> ExitCode:
    """Read every case with its labels to the end, use the good ones, and tell what became of each."""
    from ...stopping import stop_requests

    preparing.require_volumes(recipe)
    declared, failed, done = _declared(session), [], 0
    with stop_requests() as stop:
        for case in cases:
            if stop:
                session.log.write(Event.STOP_ASKED, signal=stop.name)
                break
            pseudonym = session.names.of_case(case.name)
            try:
                checked = preparing.read(case, references.get(case.name), recipe, declared)
                use(case, checked)
            except Exception as error:  # one bad case never stops the others
                session.debug(error)
                failed.append(code_of(error))
                session.log.write(Event.CASE_FAILED, pseudonym, error=type(error).__name__, fault=fault_of(error))
                continue
            done += 1
            session.log.write(good, pseudonym, **_told(checked))
    left = len(cases) - done - len(failed)
    session.count(done, len(failed), left)
    return code_of_run(done, failed, left)


def _declared(session: Session) -> tuple[int, ...] | None:
    """The values that labels may have, where a bundle or a dataset card tells."""
    model = session.model_if_any()
    if model is None and session.options.dataset is None:
        return None
    return rules_for(model, session.options, session.options.raw_labels).declared


def _told(checked: preparing.Checked) -> dict[str, object]:
    return {
        "shape": list(map(int, checked.channels[0].shape)),
        "spacing": [round(size, 6) for size in checked.spacing],
        "warnings": list(dict.fromkeys(map(warning_of, checked.warnings))),
    }
