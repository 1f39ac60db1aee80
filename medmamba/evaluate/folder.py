"""A folder of predictions scored against a folder of references: in parallel, within memory, one bad case alone."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..data.check.image import ENDINGS
from ..data.check.pool import Job, spread
from ..errors import DataError
from ..runtime import cpu_count, free_memory
from .case import Score, score_case
from .labels import SEGMENTATION
from .report import Report
from .targets import Rules

OnCase = Callable[[str, int, int], None]
"""Told (case, cases done, cases in all) whenever a case is done."""
_MOST_JOBS = 8
"""More of them mostly wait for the disk."""
_BYTES_A_VOXEL = 28
"""Of a case at its worst: two files as they are stored, two maps, and the distances of a target that fills the grid."""
_PROCESS = 150 * 2**20
"""Bytes of a process that has done nothing yet."""
_SHOWN = 3


@dataclass(frozen=True)
class _Failure:
    """What a worker hands back of a case that cannot be scored."""

    text: str


def evaluate_folder(
    predictions: Path,
    references: Path,
    rules: Rules,
    cases: Collection[str] | None = None,
    jobs: int | None = None,
    on_case: OnCase | None = None,
) -> Report:
    """Score every case of `references` (or those in `cases`) against the file of the same name in `predictions`.

    `jobs`: processes, each with one case at a time; None: one a core, at most eight, and no more than memory holds; 1
    works in this process. What is wrong with a case (no prediction, a damaged file, other geometry, undeclared labels)
    is in the report's `failures`. DataError where a folder is missing or holds no reference.
    """
    pairs = find_pairs(predictions, references, rules.ending, cases)
    if jobs is None:
        jobs = _fitting([reference for _, reference in pairs.values()])
    work: list[Job] = [(prediction, reference, rules) for prediction, reference in pairs.values()]
    names, found = list(pairs), {}
    for place, result in spread(_work, work, 0 if jobs <= 1 or len(work) == 1 else jobs, _died):
        found[names[place]] = result
        if on_case is not None:
            on_case(names[place], len(found), len(names))
    scores = {name: found[name] for name in names if not isinstance(found[name], _Failure)}
    failures = {name: one.text for name in names if isinstance(one := found[name], _Failure)}
    notes = (*rules.notes, *_surplus(predictions, names, rules.ending, cases))
    return Report(rules, scores, failures, notes)  # type: ignore[arg-type]


def find_pairs(
    predictions: Path, references: Path, ending: str, cases: Collection[str] | None = None
) -> dict[str, tuple[Path | None, Path]]:
    """Case -> (prediction, reference); None where no prediction has its name, with `ending` or another known one."""
    for folder in (predictions, references):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder.", "Check the path.")
    there = {path.name.removesuffix(ending): path for path in sorted(references.glob(f"*{ending}"))}
    there = {name: path for name, path in there.items() if not name.startswith(".")}
    if cases is not None:
        there = {name: path for name, path in there.items() if name in cases}
    if not there:
        raise DataError(f"{references} holds no *{ending} file.", "Check the path of the reference labels.")
    return {name: (_named(predictions, name, ending), path) for name, path in there.items()}


def _named(folder: Path, case: str, ending: str) -> Path | None:
    """The file of a case; one that is there but may not be read counts, and is refused when it is its turn."""
    paths = (folder / f"{case}{one}" for one in dict.fromkeys((ending, *ENDINGS, SEGMENTATION)))
    return next((path for path in paths if path.exists() or path.is_symlink()), None)


def _work(prediction: Path | None, reference: Path, rules: Rules) -> dict[str, Score] | _Failure:
    """Score one pair. Whatever is wrong with it comes back as a sentence."""
    if prediction is None:
        return _Failure(f"there is no prediction for {reference.name}")
    try:
        return score_case(prediction, reference, rules)
    except MemoryError:
        return _Failure(f"{prediction.name}: there was not enough memory; try --jobs 1")
    except DataError as error:
        return _Failure(error.problem.rstrip("."))
    except OSError as error:
        return _Failure(f"{error.filename or prediction} cannot be read ({error.strerror})")


def _died(job: Job) -> _Failure:
    return _Failure(f"the process that scored {job[1].name} was killed, perhaps for want of memory; try --jobs 1")


def _fitting(references: Sequence[Path]) -> int:
    """Processes that cores and free memory allow, by the largest reference."""
    free = free_memory()
    jobs = min(_MOST_JOBS, cpu_count(), len(references))
    if free is None or jobs == 1:
        return jobs
    need = max(_voxels(path) for path in references) * _BYTES_A_VOXEL + _PROCESS
    return max(1, min(jobs, free // need))


def _voxels(path: Path) -> int:
    """By the header; 0 where there is none."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return 0
    count = 1
    for size in reader.GetSize():
        count *= size
    return count


def _surplus(predictions: Path, names: Sequence[str], ending: str, cases: Collection[str] | None) -> tuple[str, ...]:
    """A sentence about predictions without a reference, where all were asked for."""
    if cases is not None:
        return ()
    known = set(names)
    others = sorted(path.name for path in predictions.glob(f"*{ending}") if path.name.removesuffix(ending) not in known)
    if not others:
        return ()
    shown = ", ".join(others[:_SHOWN]) + ", ..." * (len(others) > _SHOWN)
    return (f"{len(others)} predictions have no reference and are not scored: {shown}.",)
