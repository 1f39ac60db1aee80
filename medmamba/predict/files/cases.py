"""Which files make up which case: a file, a folder, DICOM series, or a list of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ...errors import ConfigError, DataError
from ..recipe import Recipe
from .dicom import holds_dicom
from .lists import read_list

VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".gipl")
"""Endings that a model of volumes is given, whichever of them it was trained on."""
PICTURES = (".png", ".bmp", ".tif", ".tiff")
STACKS = (".tif", ".tiff")
LISTS = (".txt", ".csv", ".json")
"""Endings of list files, see `medmamba.predict.files.lists`."""
_CHANNEL = re.compile(r"(.*)_(\d{4})", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """One image: a file a channel, or a folder with a DICOM series a channel."""

    name: str
    """Of the output, without ending."""
    files: tuple[Path, ...]
    """In channel order. A colour picture brings several channels."""
    kind: Literal["files", "dicom"]
    numbers: tuple[int, ...] | None = None
    """Channel number of each file, where names tell it. None: a list gave the files in their order."""


def endings(recipe: Recipe) -> tuple[str, ...]:
    """Endings of the images that a model takes, its own first."""
    known = {"flat": PICTURES, "tiff": STACKS}.get(recipe.reader, VOLUMES)
    return tuple(dict.fromkeys((recipe.file_ending.lower(), *known)))


def ending_of(path: Path, recipe: Recipe) -> str:
    """The part of a file's name that tells its format, as it is written there; "" where none is known."""
    name = path.name.lower()
    fitting = [ending for ending in endings(recipe) if name.endswith(ending)]
    return path.name[-len(max(fitting, key=len)) :] if fitting else ""


def find_cases(input: str | Path | Sequence[str | Path | Sequence[str | Path]], recipe: Recipe) -> list[Case]:
    """The cases that `input` names.

    input: a file, a folder, a list file (.txt, .csv, .json), or several of these. An entry that is itself a sequence
        of paths is one case, its channels in order.

    Files and folders of DICOM series are put together by name: CASE_0000.nii.gz, CASE_0001.nii.gz, ... are the
    channels of CASE; a name without such a number is the first channel of a case of its own, and so is every file of
    a one-channel model whose numbers do not begin at 0000. A folder that holds DICOM files is a case; one that holds
    folders of series is a batch, and folders CASE_0000, CASE_0001, or such folders in a folder CASE, are channels.
    Hidden files, and what has another ending than images have, are passed over.

    Cases that lack channels are returned: they fail on their own. Raises DataError where there is no image, where a
    path is missing, where two files stand for the same channel of one case, and where a name is not UTF-8; ConfigError
    for an empty text, which as a path would mean the present folder.
    """
    loose: list[Path] = []
    cases: list[Case] = []
    if input == "" or (not isinstance(input, str | Path) and "" in input):
        raise ConfigError("The name of an input is empty.", "Is it a variable of the shell that is not set?")
    for item in [input] if isinstance(input, str | Path) else input:
        if not isinstance(item, str | Path):
            cases.append(in_order([Path(path) for path in item], recipe))
        elif (path := Path(item)).is_dir() and not ending_of(path, recipe):
            found, inner = _inside(path, recipe)
            loose += found
            cases += inner
        elif path.suffix.lower() in LISTS and path.is_file():
            cases += [in_order(paths, recipe, name) for name, paths in read_list(path)]
        else:
            loose.append(_present(path, recipe))
    cases = sorted(_grouped(loose, recipe), key=lambda case: case.name) + cases
    if not cases:
        raise DataError("No image to predict: the list of images is empty.", "Name a file or a folder.")
    _one_each(cases)
    _require_text(cases)
    return cases


def in_order(paths: Sequence[Path], recipe: Recipe, name: str | None = None) -> Case:
    """A case whose files are its channels in the order given; without `name` it is called by the first."""
    if not paths:
        raise DataError("No image to predict: a case without files.", "Name a file a channel.")
    series = all(path.is_dir() and not ending_of(path, recipe) for path in paths)
    stem, number = _split(paths[0], recipe)
    whole = stem if number in (None, 0) else f"{stem}_{number:04d}"
    return Case(name or whole, tuple(paths), "dicom" if series else "files")


def require_channels(case: Case, recipe: Recipe) -> None:
    """Raise DataError, naming the channels, when a case has too few or too many files for a model of volumes."""
    wanted, given = len(recipe.channels), len(case.files)
    numbers = tuple(range(given)) if case.numbers is None else case.numbers
    lacking = [number for number in range(wanted) if number not in numbers]
    if lacking:
        names = ", ".join(f"{number:04d} ({recipe.channels[number]})" for number in lacking)
        raise DataError(
            f"Case {case.name} lacks channel {names}; it has {_listed(case.files)}.",
            f"The model takes {wanted} channel(s): {', '.join(recipe.channels)}. Name files CASE_0000, CASE_0001, ...",
        )
    if given > wanted:
        more = [path for path, number in zip(case.files, numbers, strict=True) if number >= wanted]
        raise DataError(
            f"Case {case.name} has {given - wanted} channel(s) too many: {_listed(more)}.",
            f"The model takes {wanted}: {', '.join(recipe.channels)}. Are these cases of their own? Then rename them.",
        )


def require_known(path: Path, recipe: Recipe) -> None:
    """Raise DataError when a file is there and its ending is none of those that the model is given."""
    if path.is_file() and not ending_of(path, recipe):
        ends = ", ".join(endings(recipe))
        raise DataError(f"{path} has no ending that this model's images have.", f"Convert it to one of {ends}.")


def _present(path: Path, recipe: Recipe) -> Path:
    if not path.exists() and not path.is_symlink():
        takes = f"The model was trained on {len(recipe.channels)} channel(s), files *{recipe.file_ending}."
        raise DataError(f"No image to predict: {path} does not exist.", takes)
    if not ending_of(path, recipe) and holds_dicom([path]):
        raise DataError(f"{path} is one DICOM file.", f"Give the folder that holds its series: {path.parent}.")
    return path


def _inside(folder: Path, recipe: Recipe) -> tuple[list[Path], list[Case]]:
    """What lies in a folder: files and series that are grouped by name, and cases that are folders of channels."""
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}.", "Check its permissions.") from error
    images = [path for path in entries if ending_of(path, recipe)]
    known = set(images)
    others = [path for path in entries if path not in known]
    if holds_dicom(path for path in others if not path.is_dir()):
        if images:
            problem = f"{folder} holds DICOM files and {_listed(images)}."
            raise DataError(problem, "Name the images that are meant, or move the others.")
        return [folder], []
    cases = []
    for place in (path for path in others if path.is_dir()):
        if _is_series(place):
            images.append(place)
        elif channels := _channels_inside(place):
            files, numbers = zip(*channels, strict=True)
            cases.append(Case(place.name, tuple(files), "dicom", tuple(numbers)))
    if not images and not cases:
        raise DataError(
            f"No image to predict: {folder} has no file {', '.join('*' + end for end in endings(recipe))} and no DICOM "
            f"series; it holds {_listed(entries) or 'nothing'}.",
            "Name the folder that holds the images itself.",
        )
    return images, cases


def _is_series(folder: Path) -> bool:
    try:
        return holds_dicom(path for path in sorted(folder.iterdir()) if path.is_file())
    except OSError:  # a folder that may not be read is none of the cases
        return False


def _channels_inside(folder: Path) -> list[tuple[Path, int]]:
    """The series in a case's folder with their channel numbers; nothing where names do not tell these."""
    try:
        series = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_series(path)]
    except OSError:
        return []
    matches = [_CHANNEL.fullmatch(path.name) for path in series]
    pairs = [(path, int(match[2])) for path, match in zip(series, matches, strict=True) if match]
    distinct = len({number for _, number in pairs}) == len(series)
    return sorted(pairs, key=lambda pair: pair[1]) if distinct else []


def _split(path: Path, recipe: Recipe) -> tuple[str, int | None]:
    """Case name and channel number, as a file's name tells them."""
    ending = ending_of(path, recipe)
    name = path.name or path.resolve().name
    stem = name[: -len(ending)] if ending else name if path.is_dir() else Path(name).stem
    match = _CHANNEL.fullmatch(stem)
    return (match[1], int(match[2])) if match and match[1] else (stem, None)


def _grouped(paths: Iterable[Path], recipe: Recipe) -> list[Case]:
    groups: dict[str, list[tuple[int, Path]]] = {}
    for path in dict.fromkeys(paths):
        stem, number = _split(path, recipe)
        groups.setdefault(stem, []).append((number or 0, path))
    cases = []
    for stem, members in groups.items():
        if len(recipe.channels) == 1 and all(number for number, _ in members):
            cases += [_case(f"{stem}_{number:04d}", [(0, path)], recipe) for number, path in members]
        else:
            cases.append(_case(stem, members, recipe))
    return cases


def _case(name: str, members: list[tuple[int, Path]], recipe: Recipe) -> Case:
    members = sorted(members)
    for (number, path), (other, second) in pairwise(members):
        if number == other:
            problem = f"{path} and {second} are both channel {number:04d} of case {name}."
            raise DataError(problem, "Rename one of them, or name only the one that is meant.")
    numbers, files = zip(*members, strict=True)
    series = all(path.is_dir() and not ending_of(path, recipe) for path in files)
    return Case(name, files, "dicom" if series else "files", numbers)


def _one_each(cases: Sequence[Case]) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        if (other := seen.setdefault(case.name, case)) is not case:
            raise DataError(
                f"{_listed(other.files)} and {_listed(case.files)} are both case {case.name}: one output would replace "
                "the other.",
                'Rename one, or give names in a .json list: {"NAME": ["FILE", ...], ...}.',
            )


def _require_text(cases: Sequence[Case]) -> None:
    """ITK ends the whole process, not only the case, when it is given a name that is not UTF-8."""
    for name in (str(path) for case in cases for path in case.files):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"The name {name!a} is not UTF-8.", "Rename it: no reader of images can open it."
            ) from error


def _listed(paths: Sequence[Path]) -> str:
    shown = ", ".join(str(path) if len(paths) == 1 else path.name for path in paths[:4])
    return f"{shown} and {len(paths) - 4} more" if len(paths) > 4 else shown
