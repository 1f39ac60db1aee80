"""Cases in folders: nnU-Net's names, a folder a case with a file or DICOM series a channel, and mixtures of these."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    from ..predict.files.cases import Case
    from ..predict.recipe import Recipe

_SAME = {
    "t1ce": "t1c", "t1gd": "t1c", "t1post": "t1c", "t1cegd": "t1c",
    "t1": "t1n", "t1w": "t1n", "t1native": "t1n",
    "flair": "t2f", "t2flair": "t2f",
    "t2": "t2w",
}  # fmt: skip
"""Names of the four contrasts of BraTS that are in use -> those of its data since 2023."""
_NUMBER = re.compile(r"\d{4}")
LABELS = "labels"
"""A folder beside the images in which no case is looked for."""


def canonical(name: str) -> str:
    """A channel's name without capitals, signs and fashions: T1-ce -> t1c."""
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    return _SAME.get(plain, plain)


def channel_of(stem: str, channels: Sequence[str]) -> int | None:
    """The channel that a file's or folder's name tells, by its last part or the whole of it; None where none is told.

    CASE_0001 -> 1; BraTS-GLI-00001-000-t1c, T1ce, case_flair -> the place of that name among `channels`.
    """
    tokens = [token for token in re.split(r"[-_. ]+", stem) if token]
    if tokens and _NUMBER.fullmatch(tokens[-1]):
        return int(tokens[-1])
    names = [canonical(one) for one in channels]
    told = (stem, "".join(tokens[-2:]), tokens[-1] if tokens else "")
    return next((names.index(canonical(one)) for one in told if canonical(one) in names), None)


def cases_in(data: Path, recipe: "Recipe") -> list["Case"]:
    """All cases below a folder, or below the folder `cases` in it. Raises DataError when there is none.

    Files and folders of DICOM slices are grouped by name, as `medmamba predict` does; any other folder is a case.
    """
    from ..predict.files.cases import ending_of, find_cases
    from ..predict.files.dicom import holds_dicom

    home = data / "cases" if (data / "cases").is_dir() else data
    entries = visible(home)
    if holds_dicom(path for path in entries if path.is_file() and not ending_of(path, recipe)):
        return find_cases(home, recipe)
    folders = [path for path in entries if path.is_dir() and path.name != LABELS]
    series = [path for path in folders if holds_dicom(one for one in visible(path) if one.is_file())]
    loose = [path for path in entries if path.is_file() and ending_of(path, recipe)] + series
    found = [case_folder(path, recipe) for path in folders if path not in series]
    return one_each(found + (find_cases(loose, recipe) if loose else []))


def case_folders(data: Path, recipe: "Recipe") -> list["Case"]:
    """The cases of a folder in which every folder is one. Raises DataError when there is none."""
    return one_each([case_folder(path, recipe) for path in visible(data) if path.is_dir()])


def case_folder(folder: Path, recipe: "Recipe") -> "Case":
    """The case whose channels lie in a folder; what it lacks comes out when it is read."""
    from ..predict.files.cases import Case, ending_of
    from ..predict.files.dicom import holds_dicom

    entries = visible(folder)
    images = [path for path in entries if path.is_file() and ending_of(path, recipe)]
    series = [path for path in entries if path.is_dir() and holds_dicom(visible(path))]
    found: list[tuple[int, Path]] = []
    for path in images or series:
        stem = path.name[: -len(ending_of(path, recipe))] if images else path.name
        if (number := channel_of(stem, recipe.channels)) is not None:
            found.append((number, path))
    if len(recipe.channels) == 1 and len(images or series) == 1:
        found = [(0, (images or series)[0])]
    if not found:
        return Case(folder.name, (folder,), "files", (0,))  # read as a file, it is refused alone
    numbers, files = zip(*sorted(found), strict=True)
    return Case(folder.name, files, "files" if images else "dicom", numbers)


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, hidden files left out. DataError where that cannot be told."""
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"No image to predict: {folder} cannot be listed.", "Check what is mounted there.") from error
    for path in entries:
        try:
            str(path).encode("utf-8")
        except UnicodeEncodeError as error:  # readers written in C end the whole process on it
            raise DataError(f"The name {str(path)!a} is not UTF-8.", "Rename it.") from error
    return entries


def one_each(cases: list["Case"]) -> list["Case"]:
    """The cases by name. DataError when there is none, or when two have the same."""
    names = [case.name for case in cases]
    if not names:
        raise DataError("No image to predict: the input is empty.", "Look whether the right folder is mounted.")
    if len(set(names)) < len(names):
        raise DataError("Two inputs are both cases of one name.", "Rename one of them.")
    return sorted(cases, key=lambda case: case.name)
