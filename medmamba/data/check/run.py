"""Every image and label of an nnU-Net raw dataset, looked at before hours are spent on them."""

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import DataError
from ...runtime import cpu_count
from .across import across
from .cases import CaseResult, compare
from .dataset_json import Description, read_description
from .findings import KINDS, CheckReport, Finding
from .image import Examined, Role, examine
from .layout import Case, read_layout
from .pool import Job, spread

OnCase = Callable[[str, int, int], None]
"""Told (case, cases done, cases in all) whenever a case is done."""
_MOST_PROCESSES = 8
"""More of them mostly wait for the disk."""
_WORST = 5
"""Findings that one sentence names."""


def check(
    folder: Path, processes: int | None = None, on_case: OnCase | None = None, *, test: bool = True
) -> CheckReport:
    """Examine a raw dataset: dataset.json, the names of its files, and every voxel of every image and label.

    Parameters
    ----------
    folder: a DatasetXXX_Name folder with dataset.json, imagesTr, labelsTr and where there are imagesTs and labelsTs; or
        one whose dataset.json names the files in its `dataset` table.
    processes: workers, each with one file in memory at a time; None: one a core, at most
        eight; 0: in this process, unguarded.
    test: also examine the test cases.

    What is wrong is in the report; nothing of the data raises. DataError when there is no such folder.
    """
    if not os.path.isdir(folder):  # Path.is_dir raises where it may not look
        raise DataError(f"{folder} is no folder.", "Give the folder of an nnU-Net raw dataset.")
    description, findings = read_description(folder)
    cases, of_names = read_layout(folder, description, test)
    results = _examine(
        cases, description, min(_MOST_PROCESSES, cpu_count()) if processes is None else processes, on_case
    )
    findings += of_names
    for result in results:
        findings += result.findings
    findings += across(results, description)
    order = {kind: place for place, kind in enumerate(KINDS)}
    findings.sort(
        key=lambda finding: (finding.severity != "error", order[finding.kind], finding.case, str(finding.file))
    )
    training = sum(case.split == "training" for case in cases)
    roundings = tuple(rounding for result in results for rounding in result.roundings)
    files = sum(len(case.files) for case in cases)
    return CheckReport(folder, training, len(cases) - training, files, tuple(findings), roundings)


def require_sound(folder: Path, processes: int | None = None, on_case: OnCase | None = None) -> CheckReport:
    """`check` of what training needs; DataError that names the worst findings when there is an error among them."""
    report = check(folder, processes, on_case, test=False)
    if not report.errors:
        return report
    worst = [
        _sentence(found[0], len(found), folder) for found in report.by_kind().values() if found[0] in report.errors
    ]
    more = f" And {len(worst) - _WORST} more kinds." if len(worst) > _WORST else ""
    count = len(report.errors)
    raise DataError(
        f"{folder} is not a sound nnU-Net dataset: {count} error{'s' * (count > 1)}. {' '.join(worst[:_WORST])}{more}",
        f"Run: medmamba datasets check {shlex.quote(str(folder))}",
    )


def _sentence(finding: Finding, count: int, folder: Path) -> str:
    """One kind of finding by its first example."""
    where = os.path.relpath(finding.file, folder) if finding.file else finding.case
    times = f" ({count} times)" if count > 1 else ""
    return f"{KINDS[finding.kind].title}{times}: {where}: {finding.text}"


def _examine(cases: list[Case], description: Description, processes: int, on_case: OnCase | None) -> list[CaseResult]:
    """The result of each case, in the order of `cases`."""
    jobs = [job for case in cases for job in _jobs(case, description)]
    owners = [place for place, case in enumerate(cases) for _ in case.files]
    pending = {place: len(case.files) for place, case in enumerate(cases)}
    known: dict[int, dict[Path, Examined]] = {place: {} for place in pending}
    results: dict[int, CaseResult] = {}
    for number, examined in spread(examine, jobs, processes, _died):
        place = owners[number]
        known[place][examined.path] = examined
        pending[place] -= 1
        if not pending[place]:
            results[place] = compare(cases[place], _ordered(cases[place], known.pop(place)), description)
            if on_case is not None:
                on_case(cases[place].name, len(results), len(cases))
    return [results[place] for place in sorted(results)]


def _jobs(case: Case, description: Description) -> list[Job]:
    channels = description.channels or ()
    reader = "nibabel" if description.reader.startswith("Nibabel") or description.ending == ".nii" else "itk"
    images: list[Job] = []
    for number in sorted(case.images):
        role: Role = "image"
        images.append((case.images[number], role, channels[number] if number < len(channels) else "", reader))
    return [*images, *([(case.label, "label", "", reader)] if case.label else [])]


def _ordered(case: Case, known: Mapping[Path, Examined]) -> dict[Path, Examined]:
    return {path: known[path] for path in case.files}


def _died(job: Job) -> Examined:
    text = "It died without a word, as a broken library or the system's lack of memory makes it."
    return Examined(Path(job[0]), (("crash", text),))
