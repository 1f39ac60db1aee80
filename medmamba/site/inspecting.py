"""Prepared cases, as `prepare` writes them: found again, and what may be told of all of them together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from .aggregates import apart, counted, few
from .events import Event
from .exits import ExitCode, code_of
from .faults import fault_of
from .modes import Mode
from .plain import plain_recipe
from .rules import rules_for
from .session import Session

if TYPE_CHECKING:
    from ..predict.files.cases import Case
    from ..predict.recipe import Recipe

FORMAT = "medmamba site statistics 1"
_QUARTILES = (25, 50, 75)


def prepared_cases(session: Session, mode: Mode) -> tuple[list["Case"], "Recipe"]:
    """The cases and how they are read: as the model's, else with as many channels as most of them have."""
    options = session.options
    if session.model_if_any() is not None or options.channels:
        recipe = session.recipe()
        cases = mode.find(recipe)
    else:
        cases = mode.find(plain_recipe(("0", "1")))  # two: with one a number in a name would be part of it
        counts = [len(case.files) for case in cases]
        recipe = plain_recipe([str(number) for number in range(max(counts, key=counts.count))])
    session.log.write(Event.CASES_FOUND, cases=len(cases))
    return cases, recipe


def numbers_of(
    session: Session, cases: Sequence["Case"], recipe: "Recipe", references: Mapping[str, Path]
) -> tuple[dict[str, Any], list[ExitCode]]:
    """The statistics, and what each case counts as that could not be read."""
    from ..predict.files.headers import probe

    names = label_names(session)
    headers, carriers, failed = [], dict.fromkeys(names, 0), []
    for case in cases:
        try:
            header = probe(case, recipe)
            present = _values(references[case.name]) if case.name in references else set()
        except Exception as error:
            session.debug(error)
            failed.append(code_of(error))
            told = {"error": type(error).__name__, "fault": fault_of(error)}
            session.log.write(Event.CASE_FAILED, session.names.of_case(case.name), **told)
            continue
        headers.append(header)
        for value in present - {0}:
            carriers[value] = carriers.get(value, 0) + 1
    least = session.options.min_cases
    known = [case.name for case in cases if case.name in references]
    content = {
        "format": FORMAT,
        "medmamba": __version__,
        "min_cases": least,
        "cases": counted(len(cases), least),
        "failed": counted(len(failed), least),
        "with_labels": _among(len(known), [len(cases)], least),
        "channels": len(recipe.channels),
        "grid": _grid(headers, least),
        "labels": {
            names.get(value, f"label {value}"): _among(count, [len(known), len(cases)], least)
            for value, count in sorted(carriers.items())
            if value in names or count >= least  # a value that only few files have is told by its very mention
        },
    }
    return content, failed


def _among(number: int, of: Sequence[int], least: int) -> int | str:
    """So many of the cases, as far as neither they nor those without can be told apart."""
    told = counted(number, least)
    return told if isinstance(told, str) or not told else apart(told, least, of)


def _grid(headers: Sequence[Any], least: int) -> dict[str, Any] | str:
    """Quartiles of shape and spacing along each axis (z, y, x); no extremes, which are single cases."""
    import numpy as np

    if len(headers) < least:
        return few(least)
    found: dict[str, Any] = {"axes": ["z", "y", "x"], "quartiles": list(_QUARTILES)}
    for name, digits in (("shape", 0), ("spacing", 2)):
        table = np.array([getattr(header, name) for header in headers], np.float64)
        found[name] = np.percentile(table, _QUARTILES, axis=0).round(digits).T.tolist()
    return found


def label_names(session: Session) -> dict[int, str]:
    """Value -> name of the labels that a bundle or a dataset card knows: those that no case has are told, too."""
    model = session.model_if_any()
    if model is None and session.options.dataset is None:
        return {}
    rules = rules_for(model, session.options, session.options.raw_labels)
    return {target.values[0]: target.name for target in rules.targets if len(target.values) == 1}


def _values(file: Path) -> set[int]:
    """The label values in a file."""
    import numpy as np

    from ..predict.files import volumes

    volume = volumes.load(file, "itk")
    values = np.unique(volume.voxels).astype(np.float64)
    if volume.scale is not None:
        values = values * volume.scale[0] + volume.scale[1]
    return {int(value) for value in values}
