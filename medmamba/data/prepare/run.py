"""From a download as it was unpacked to a dataset in nnU-Net's raw layout.

Files that need no change become hard links, or copies where source and target do not share a file system; nothing of
the source is ever written to. A hard link is one file under two names: whoever changes an image of the dataset in place
changes the download too. medmamba never does (a new file takes the name), and nnU-Net does not write into its raw
folder; who wants to edit images by other means takes copies.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ...errors import DataError, SetupError
from ...files import remove_leftovers, replacing
from ...runtime import cpu_count, free_disk
from ..cards import Card
from .advice import raw_already
from .convert import convert
from .lists import expected, write_lists
from .match import Found, match
from .record import Record
from .tasks import AS_IS, Task, tasks

_PARTS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
"""What the system says where it makes no hard link: another disk, another owner, a file system without links."""


@dataclass
class Prepared:
    """What `prepare` did."""

    folder: Path
    """DatasetXXX_Name."""
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Split -> (cases that the card speaks of, cases that are in the dataset now)."""
    training: int = 0
    """numTraining."""
    linked: int = 0
    copied: int = 0
    converted: int = 0
    kept: int = 0
    """Files that were up to date."""
    removed: list[str] = field(default_factory=list)
    """Files of an earlier run whose source is gone."""
    incomplete: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Case that was left out -> why."""
    unlabelled: list[str] = field(default_factory=list)
    """Cases without a label, as the card says there are; left out."""
    extra: list[str] = field(default_factory=list)
    """Files of the download that no pattern knows."""
    foreign: list[str] = field(default_factory=list)
    """Files in the dataset that `prepare` did not make."""


Tick = Callable[[int, int], None]
"""Called with files done and files in all."""


def prepare(
    card: Card, source: Path, raw: Path, copy: bool = False, processes: int | None = None, tick: Tick | None = None
) -> Prepared:
    """Make DatasetXXX_Name in nnU-Net's raw folder from a download of the card's dataset.

    A case that lacks a file, or has one that cannot be read or holds an unknown label value, is left out and named; the
    rest is done. A second run does only what is new or changed, at whatever moment the first was ended.

    Parameters
    ----------
    source: the folder into which the download was unpacked, or the folder of the training cases in it.
    raw: nnU-Net's raw folder.
    copy: copy files that need no change, instead of linking them.
    processes: files that are worked on at a time; by default one a core.
    tick: progress.

    Raises DataError when the card has no layout, the source no complete training case, or the dataset's folder another
    origin; SetupError when the target cannot be written.
    """
    if not card.layout:
        raise DataError(f"Card {card.name} does not say how a download looks.", f"Access: {card.access}.")
    source, folder = source.expanduser().absolute(), raw / card.folder_name
    _check_number(card, folder)
    found = match(card, source, leave_out=raw)
    result = Prepared(folder, incomplete=dict(found.incomplete), unlabelled=found.unlabelled)
    result.extra = [os.path.relpath(path, source) for path in found.extra]
    if not any(case.layout.trained_on for case in found.cases):
        problem = f"No training case in {source} is complete; {_first(found.incomplete)}."
        raise DataError(problem, raw_already(source) or "Complete the download.")
    with _for_people(folder), _alone(folder):
        for part in (".", *_PARTS):
            remove_leftovers(folder / part)
        record = Record(folder, source, card.name)
        done = _work(found.cases, card, record, result, copy, processes or cpu_count(), tick)
        if not any(case.layout.trained_on for case in done):
            raise DataError(
                f"No training case could be converted; {_first(result.incomplete)}.", "See the files named."
            )
        result.removed = record.keep_only([task for case in done for task in tasks(case, card)])
        record.save()
        write_lists(folder, card, done)
    result.counts, result.training = dict(expected(card, done)), sum(case.layout.trained_on for case in done)
    result.foreign = _foreign(folder, record)
    return result


def _first(problems: dict[str, tuple[str, ...]]) -> str:
    return next((f"{name}: {first}" for name, (first, *_) in problems.items()), "none was found")


def _foreign(folder: Path, record: Record) -> list[str]:
    known = {target for entry in record.entries.values() for target, *_ in entry["targets"]}
    there = (f"{part}/{path.name}" for part in _PARTS for path in folder.glob(f"{part}/*"))
    return sorted(set(there) - known)


def _check_number(card: Card, folder: Path) -> None:
    if twins := [path for path in folder.parent.glob(f"Dataset{card.id:03d}_*") if path != folder]:
        problem = f"{twins[0]} has the number {card.id:03d} already, and nnU-Net knows datasets by number."
        raise DataError(problem, f"Rename it, or give the card {card.name} another id.")


def _work(
    cases: Sequence[Found], card: Card, record: Record, result: Prepared, copy: bool, processes: int, tick: Tick | None
) -> list[Found]:
    """Do the tasks of all cases; return the cases that succeeded."""
    todo = [(case, task) for case in cases for task in tasks(case, card)]
    _check_disk([task for _, task in todo if not record.up_to_date(task, copy)], result.folder, copy)
    failed: dict[str, list[str]] = {}
    with ThreadPoolExecutor(processes) as pool:  # compression and the readers let other threads run
        try:
            steps = pool.map(partial(_do, record=record, folder=result.folder, copy=copy), [task for _, task in todo])
            for count, ((case, _), outcome) in enumerate(zip(todo, steps, strict=True), start=1):
                if isinstance(outcome, DataError):
                    failed.setdefault(case.name, []).append(outcome.problem.rstrip("."))
                else:
                    setattr(result, outcome, getattr(result, outcome) + 1)
                if tick:
                    tick(count, len(todo))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            record.save()
            raise
    result.incomplete |= {name: tuple(problems) for name, problems in failed.items()}
    return [case for case in cases if case.name not in failed]


def _do(task: Task, record: Record, folder: Path, copy: bool) -> str | DataError:
    """Do one task; "kept", "linked", "copied" or "converted", or what is wrong with its sources."""
    try:
        if record.up_to_date(task, copy):
            record.add(task)  # a link that a killed run made is not noted yet
            return "kept"
        with ExitStack() as stack:
            targets = [stack.enter_context(replacing(folder / target)) for target in task.targets]
            if task.action == AS_IS:
                outcome = "copied" if copy or not _link(task.sources[0], targets[0]) else "linked"
                if outcome == "copied":
                    shutil.copy2(task.sources[0], targets[0])
            else:
                convert(task.action, task.sources, targets, task.options)
                outcome = "converted"
        record.add(task)
    except DataError as error:
        return error
    except OSError as error:
        if error.filename and Path(error.filename) in task.sources:
            return DataError(f"{error.filename} cannot be read ({error.strerror}).", "Check its permissions.")
        raise
    return outcome


def _link(source: Path, target: Path) -> bool:
    """Make a hard link; False where the system makes none."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _check_disk(todo: Sequence[Task], folder: Path, copy: bool) -> None:
    """Refuse early when what is to be written cannot fit. SetupError."""
    here, needed = os.stat(folder).st_dev, 0.0
    for task in todo:
        for state in (path.stat() for path in task.sources):
            if task.action != AS_IS:
                needed += state.st_size / 2  # may shrink
            elif copy or state.st_dev != here:
                needed += state.st_size
    if (free := free_disk(folder)) < needed:
        problem = f"About {needed / 1e6:.0f} MB are to be written to {folder}, where {free / 1e6:.0f} MB are free."
        raise SetupError(problem, "Make room, or choose another disk with --data-root.")


@contextmanager
def _for_people(folder: Path) -> Iterator[None]:
    """What the system says about the target, in one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetupError(f"The disk of {folder} is full.", "Make room and run the command again.") from error
        raise SetupError(f"{folder} cannot be written: {error.strerror or error}.", "Check --data-root.") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While the block runs no other process prepares the same dataset. SetupError when one does already."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(PermissionError, NotImplementedError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SetupError(f"Another process is preparing {folder}.", "Wait until it has finished.") from error
    finally:
        os.close(handle)
