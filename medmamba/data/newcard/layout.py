"""Which of a folder's files are images, which labels, and which belong to one case: guessed from their names."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import PurePosixPath

from ...errors import DataError

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", *_PICTURES)
_LABEL = re.compile(
    r"(?i)(?<![a-z])(seg|segs|labels?|masks?|gt|groundtruth|ground_truth|annotations?|manual|lesions?|roi)"
)
_LABEL_START = re.compile(r"(?i)(label|segm|mask|annot|groundtruth)")
_IMAGE = re.compile(r"(?i)(im(age|g)s?|frames?|volumes?|scans?)")
_TEST = re.compile(r"(?i)(test|imagests|valid|val$|imagesva)")
_MOST = 0.5
"""Share of the cases that must agree in what they have."""


@dataclass(frozen=True)
class Guess:
    """Patterns as a card's layout has them."""

    images: tuple[str, ...]
    label: str
    test_images: tuple[str, ...] = ()
    test_label: str = ""
    where: str = ""
    """What {case} may be, where a label would match the images' pattern too."""
    cases: int = 0

    @property
    def clip(self) -> bool:
        """A folder of frames a case."""
        return "{frame}" in self.label

    @property
    def masks(self) -> bool:
        """One file a label."""
        return "{label}" in self.label


def guess_images(files: Sequence[str]) -> Guess:
    """The most likely patterns of images without labels: the files of one folder, or of one folder a case.

    The label's pattern is that of the first image. DataError when there is no image.
    """
    known = [file for file in _images(files) if not speaks_of_labels(file)]
    if found := _case_folders(known, labelled=False):
        return found
    families = [family for folder, names in _by_folder(known).items() for family in _families(folder, names)]
    if not families:
        raise DataError(
            "The folder's images are labels by their names, or of several kinds.", "Which files are images?"
        )
    best = max(families, key=lambda kind: (not _TEST.search(kind.folder), len(kind.cases) * len(kind.ends)))
    return Guess(best.patterns, best.patterns[0], _test_folder(best, families), cases=len(best.cases))


def _images(files: Sequence[str]) -> list[str]:
    if known := [file for file in files if _ending(file)]:
        return known
    raise DataError("The folder holds no image.", f"Looked for files ending in {', '.join(_ENDINGS)}.")


def guess(files: Sequence[str]) -> Guess:
    """The most likely patterns for the paths (relative, "/") of a folder. DataError when no image has a label."""
    known = _images(files)
    for attempt in (_case_folders, _twin_folders):
        if found := attempt(known):
            return found
    raise DataError(
        "The folder holds images, but no label was found for them by name.",
        "Labels belong into a folder beside the images (images, labels) or beside each image (x.nii.gz, x_seg.nii.gz). "
        "To train a registration network without labels, use --images-only.",
    )


def _ending(file: str) -> str:
    return next((ending for ending in _ENDINGS if file.lower().endswith(ending)), "")


def speaks_of_labels(text: str) -> bool:
    """Whether a file's or folder's name says that it holds labels."""
    return bool(_LABEL.search(text) or _LABEL_START.search(text))


def _case_folders(files: Sequence[str], labelled: bool = True) -> Guess | None:
    """One folder a case: cases/P1/{t1.nii.gz, seg.nii.gz}, with or without the folder's name in the files' names."""
    depth = max((len(PurePosixPath(file).parts) for file in files), default=0)
    for level in range(depth - 1):
        roles: dict[tuple[str, str], dict[str, set[str]]] = {}
        for file in files:
            parts = PurePosixPath(file).parts
            if len(parts) > level + 1:
                above, case = "/".join(parts[:level]), parts[level]
                role = "/".join(parts[level + 1 :]).replace(case, "{case}")
                roles.setdefault((above, case), {}).setdefault(role, set()).add(file)
        for above in dict.fromkeys(above for above, _ in roles):
            folders = [found for (parent, _), found in roles.items() if parent == above]
            common = [
                role for role, count in Counter(r for f in folders for r in f).items() if count > _MOST * len(folders)
            ]
            enough = len(common) >= (2 if labelled else 1)  # an image, and its label
            if len(folders) > 1 and enough and (found := _from_roles(above, common, folders, labelled)):
                return found
    return None


def _from_roles(
    above: str, common: Sequence[str], folders: Sequence[dict[str, set[str]]], labelled: bool
) -> Guess | None:
    prefix = f"{above}/{{case}}/".removeprefix("/")
    labels = [role for role in common if speaks_of_labels(role.replace("{case}", ""))]
    images = sorted(role for role in common if role not in labels)
    if not labelled:
        labels = images[:1]
    if not labels or not images or len({_ending(role) for role in images}) > 1:
        return None
    if clip := _frames(prefix, images, labels, len(folders)):
        return clip
    label = labels[0]
    masks = {str(PurePosixPath(role).parent) for role in labels}
    if len(labels) > 1:
        if len(masks) > 1 or masks == {"."}:
            return None
        label = f"{masks.pop()}/{{label}}{_ending(labels[0])}"
    whole = sum(set(images) <= set(folder) for folder in folders)
    return Guess(tuple(prefix + role for role in images), prefix + label, cases=whole)


def _frames(prefix: str, images: Sequence[str], labels: Sequence[str], cases: int) -> Guess | None:
    """The patterns of clips: pictures and masks of many frames in two folders of each case."""
    parents = [{str(PurePosixPath(role).parent) for role in roles} for roles in (images, labels)]
    frames = [{PurePosixPath(role).stem for role in roles} for roles in (images, labels)]
    alike = len(images) > 1 and all(len(kind) == 1 for kind in parents) and parents[0] != parents[1]
    if not alike or frames[0] != frames[1] or not images[0].lower().endswith(_PICTURES):
        return None
    patterns = (
        f"{prefix}{kind.pop()}/{{frame}}{_ending(one[0])}" for kind, one in zip(parents, (images, labels), strict=True)
    )
    return Guess((next(patterns),), next(patterns), cases=cases)


def _twin_folders(files: Sequence[str]) -> Guess | None:
    """Images in one folder and labels in another, or both in one, told apart by the ends of their names."""
    families = [family for folder, names in _by_folder(files).items() for family in _families(folder, names)]
    best: tuple[tuple[int, bool], Guess] | None = None
    for images, label in permutations(families, 2):
        if not label.is_label or images.is_label or _TEST.search(images.folder):
            continue
        shared = images.cases & label.cases
        score = (len(shared), bool(_IMAGE.search(images.folder)))
        if len(shared) > _MOST * min(len(images.cases), len(label.cases)) and (best is None or score > best[0]):
            in_one = images.folder == label.folder and label.ends[0].endswith(images.ends[0])
            mark = label.ends[0].removesuffix(images.ends[0])
            test, test_label = (_test_folder(kind, families) for kind in (images, label))
            test_label = test_label[:1] if test else ()
            where = f"[^/]+(?<!{re.escape(mark)})" if in_one else ""
            found = Guess(images.patterns, label.patterns[0], test, "".join(test_label), where, len(shared))
            best = (score, found)
    return best[1] if best else None


def _by_folder(files: Sequence[str]) -> dict[str, list[str]]:
    """Folder, "" or with "/" at its end -> names of its files."""
    folders: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        folders.setdefault("" if str(path.parent) == "." else f"{path.parent}/", []).append(path.name)
    return folders


@dataclass(frozen=True)
class _Family:
    """Files of one folder that are called alike: before + case + one of the ends."""

    folder: str
    before: str
    ends: tuple[str, ...]
    cases: frozenset[str]
    is_label: bool

    @property
    def patterns(self) -> tuple[str, ...]:
        return tuple(f"{self.folder}{self.before}{{case}}{end}" for end in self.ends)


def _families(folder: str, names: Sequence[str]) -> list[_Family]:
    """The readings of a folder's names: as one kind of file, or as several ends that each case has."""
    by_end: dict[str, set[str]] = {}
    for name in names:
        ending = _ending(name)
        stem = name[: -len(ending)]
        if match := re.fullmatch(r"(.+?)([_-][A-Za-z0-9]+)", stem):
            by_end.setdefault(match[2] + ending, set()).add(match[1])
    found = []
    repeated = {end: cases for end, cases in by_end.items() if len(cases) > 1 or len(names) == 1}
    for is_label in (False, True):
        ends = sorted(end for end in repeated if speaks_of_labels(end) == is_label)
        if ends and sum(len(repeated[end]) for end in ends) > _MOST * len(names) / 2:
            cases = frozenset.intersection(*(frozenset(repeated[end]) for end in ends))
            if cases:
                found.append(_Family(folder, "", tuple(ends), cases, is_label or speaks_of_labels(folder)))
    endings = {_ending(name) for name in names}
    if len(endings) == 1:
        ending = endings.pop()
        stems = [name[: -len(ending)] for name in names]
        alike = re.split(r"\d", _shared_start(stems))[0] if len(stems) > 1 else re.split(r"\d", stems[0])[0]
        for start in dict.fromkeys(("", alike)):
            cases = frozenset(stem[len(start) :] for stem in stems)
            found.append(_Family(folder, start, (ending,), cases, speaks_of_labels(folder + start)))
    return found


def _shared_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return first[: next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _test_folder(kind: _Family, families: Iterable[_Family]) -> tuple[str, ...]:
    """The patterns of the same kind of names in a folder whose name speaks of tests."""
    for other in families:
        same = (other.before, other.ends) == (kind.before, kind.ends)
        if same and other.is_label == kind.is_label and _TEST.search(other.folder) and other.folder != kind.folder:
            return other.patterns
    return ()
