"""The files of a download against a card's layouts: which case has what, what is missing, what is left over."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ...errors import DataError
from ..cards import Card
from ..layouts import PLACEHOLDER, Layout
from .advice import raw_already, right_folder
from .files import expression, files_below, natural

_NO_LABEL = "no label"
_ALWAYS_KNOWN = re.compile(r"(?:readme|licen[cs]e|citation|changelog|dataset\.json)", re.IGNORECASE)
"""Starts of the names of files that come with any download."""


@dataclass(frozen=True)
class Found:
    """One case of a download."""

    name: str
    """What nnU-Net calls it."""
    layout: Layout
    images: tuple[tuple[Path, ...], ...]
    """For each image pattern its file; all frames of a clip in the order of time."""
    labels: tuple[tuple[str, Path], ...]
    """(label of a mask or "", file), in the order of the patterns; the masks of a clip in the order of time."""
    problems: tuple[str, ...] = ()
    """What the case lacks, in words."""


@dataclass
class Matched:
    """All that was found in a download."""

    roots: dict[Path, list[str]] = field(default_factory=dict)
    """Folder that holds cases -> all files below it."""
    cases: list[Found] = field(default_factory=list)
    """Complete cases, by name."""
    incomplete: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Case that is left out -> why."""
    unlabelled: list[str] = field(default_factory=list)
    """Cases without a label, as the card says there are; left out."""
    extra: list[Path] = field(default_factory=list)
    """Files that no pattern knows."""


def match(card: Card, source: Path, leave_out: Path | None = None) -> Matched:
    """Look for the cases of a card's layouts in a download.

    `leave_out`: a folder that is not looked into. DataError when the folder does not exist, holds nothing of a training
    layout, or has no readable table of splits where the card needs one.
    """
    if not source.is_dir():
        raise DataError(f"{source} is no folder.", "Give --from the folder into which the download was unpacked.")
    listings = _Listings(source, leave_out)
    result, taken = Matched(), set[tuple[bool, str]]()
    known: dict[Path, set[str]] = {}
    training = False
    for layout in card.layout:
        if (root := listings.root(layout, card.layout)) is None:
            continue
        result.roots[root] = listings.files(root)
        cases, used = _cases(layout, root, result.roots[root], set(card.labels))
        known.setdefault(root, set()).update(used)
        training |= layout.trained_on and bool(cases)
        for case in cases:
            _sort_in(case, result, taken)
    if not training:
        remedy = raw_already(source) or right_folder(card, source, listings.files(source))
        raise DataError(f"{source} holds no training case.", remedy)
    result.cases.sort(key=lambda case: case.name)
    result.extra = _extra(result.roots, known)
    return result


def _extra(roots: dict[Path, list[str]], known: dict[Path, set[str]]) -> list[Path]:
    """Files that no layout knows; a root may lie in another."""
    left = [root / file for root, files in roots.items() for file in files if file not in known[root]]
    if len(roots) > 1:
        elsewhere = {root / file for root, files in known.items() for file in files}
        left = sorted(set(left) - elsewhere)
    return left


def _sort_in(case: Found, result: Matched, taken: set[tuple[bool, str]]) -> None:
    place = (case.layout.trained_on, case.name)
    if place in taken:
        problems = (*result.incomplete.get(case.name, ()), "is there twice; only the first was looked at")
        result.incomplete[case.name] = problems
    elif case.problems == (_NO_LABEL,) and case.layout.label_optional:
        result.unlabelled.append(case.name)
    elif case.problems:
        result.incomplete[case.name] = case.problems
    else:
        result.cases.append(case)
    taken.add(place)


class _Listings:
    """The files of folders below a download, listed once each."""

    def __init__(self, source: Path, leave_out: Path | None) -> None:
        self._source, self._leave_out = source, leave_out
        self._known: dict[Path, list[str]] = {}

    def files(self, folder: Path) -> list[str]:
        if folder not in self._known:
            self._known[folder] = files_below(folder, self._leave_out)
        return self._known[folder]

    def root(self, layout: Layout, layouts: Iterable[Layout]) -> Path | None:
        """The first candidate folder that holds an image of the layout."""
        image = expression(layout.images[0], tuple(layout.where.items()))
        for candidate in layout.root:
            for folder in self._places(candidate, layout, layouts):
                if any(image.fullmatch(file) for file in self.files(folder)):
                    return folder
        return None

    def _places(self, candidate: str, layout: Layout, layouts: Iterable[Layout]) -> list[Path]:
        """Where a root candidate may lie: below the source, the source itself, or one folder deeper."""
        if candidate == ".":  # the source is not this split's folder when it bears the name of another's
            others = {root for other in layouts for root in other.root} - set(layout.root)
            return [] if any(self._is_named(root) for root in others) else [self._source]
        below = (sorted(self._source.glob(pattern)) for pattern in (candidate, f"*/{candidate}"))
        first, deeper = ([path for path in paths if path.is_dir()] for paths in below)
        return [*first, *([self._source] if self._is_named(candidate) else []), *deeper]

    def _is_named(self, candidate: str) -> bool:
        return candidate != "." and self._source.absolute().match(candidate)


Key = tuple[tuple[str, str], ...]


@dataclass
class _Parts:
    """The files of one case while they are gathered: ("image" or "label", pattern) -> (label, frame, file)."""

    slots: dict[tuple[str, int], list[tuple[str, str, Path]]] = field(default_factory=dict)

    def add(self, kind: str, place: int, label: str, frame: str, file: Path) -> None:
        self.slots.setdefault((kind, place), []).append((label, frame, file))

    def case(self, values: dict[str, str], layout: Layout) -> Found:
        """The case with all that it lacks."""
        problems: list[str] = []
        images = tuple(
            self._files("image", place, pattern, values, layout, problems)
            for place, pattern in enumerate(layout.images)
        )
        labels: list[tuple[str, Path]] = []
        lacking: list[str] = []
        for place, pattern in enumerate(layout.label):
            if layout.label_kind == "masks":
                labels += [(label, file) for label, _, file in self.slots.get(("label", place), [])]
            else:  # an image may be its own label: what is bright in it
                image = pattern in layout.images
                kind, at = ("image", layout.images.index(pattern)) if image else ("label", place)
                labels += [("", file) for file in self._files(kind, at, pattern, values, layout, lacking)]
        if labels:
            problems += lacking
        elif layout.trained_on:
            problems.append(_NO_LABEL)
        if layout.kind == "clip" and labels and not problems:
            problems += self._frames_without_mask()
        return Found(layout.name.format(**values), layout, images, tuple(labels), tuple(problems))

    def _files(
        self, kind: str, place: int, pattern: str, values: dict[str, str], layout: Layout, problems: list[str]
    ) -> tuple[Path, ...]:
        hits = sorted(self.slots.get((kind, place), []), key=lambda hit: natural(hit[1]))
        wanted = PLACEHOLDER.sub(lambda name: values.get(name[1], name[0]), pattern)
        if not hits:
            problems.append(f"{wanted} is missing")
        elif layout.kind != "clip" and len(hits) > 1:
            problems.append(f"several files match {wanted}: {', '.join(hit[2].name for hit in hits)}")
        return tuple(hit[2] for hit in hits)

    def _frames_without_mask(self) -> list[str]:
        frames, masks = ({frame for _, frame, _ in self.slots.get((kind, 0), [])} for kind in ("image", "label"))
        lacking = [f"frame {frame} has no mask" for frame in sorted(frames - masks)]
        return lacking + [f"mask {frame} has no frame" for frame in sorted(masks - frames)]


def _cases(layout: Layout, root: Path, files: list[str], labels: set[str]) -> tuple[list[Found], set[str]]:
    """The layout's cases in a listing, complete or not, and the files that are known, used or not."""
    where = tuple(layout.where.items())
    rules = [("image", place, expression(pattern, where)) for place, pattern in enumerate(layout.images)]
    rules += [("label", place, expression(pattern, where)) for place, pattern in enumerate(layout.label)]
    ignored = [expression(pattern) for pattern in layout.ignore]
    parts: dict[Key, _Parts] = {}
    known = {file for file in files if _ALWAYS_KNOWN.match(file, file.rfind("/") + 1)}
    known |= {file for rule in ignored for file in files if rule.fullmatch(file)}
    if layout.select:
        known.add(layout.select.file)
    for file in files:
        if file in known:
            continue
        for kind, place, rule in rules:
            if not (hit := rule.fullmatch(file)):
                continue
            values = hit.groupdict()
            if (label := _label_of(values.pop("label", ""), layout, labels)) is not None:
                frame = values.pop("frame", "")
                parts.setdefault(tuple(sorted(values.items())), _Parts()).add(kind, place, label, frame, root / file)
                known.add(file)
                break
    chosen = _selected(layout, root)
    first = PLACEHOLDER.findall(layout.images[0])[0]
    cases = [(dict(key), part) for key, part in parts.items() if chosen is None or dict(key)[first] in chosen]
    return [part.case(values, layout) for values, part in cases], known


def _label_of(text: str, layout: Layout, labels: set[str]) -> str | None:
    """The label that a mask's file name speaks of; "" for other files, None when no label is called so."""
    if layout.label_kind != "masks" or not text:
        return ""
    for name, patterns in layout.mask_names.items():
        if any(fnmatchcase(text, pattern) for pattern in patterns):
            return name
    return text if text in labels - set(layout.mask_names) else None


def _selected(layout: Layout, root: Path) -> set[str] | None:
    """The cases that the layout's table gives to this split; None without a table."""
    if layout.select is None:
        return None
    path, select = root / layout.select.file, layout.select
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, delimiter=select.delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}).", "It says which case belongs to which split.") from error
    if not rows or not {select.key, select.column} <= set(rows[0]):
        raise DataError(f"{path} has no columns {select.key!r} and {select.column!r}.", "Mend the card or the file.")
    return {row[select.key] for row in rows if row[select.column] in select.values}
