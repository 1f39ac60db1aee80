"""What a segment shows, in codes: category, type and side, from a dataset card's codes or the generic ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Code = tuple[str, str, str]
"""Coding scheme, value, meaning."""

TISSUE: Code = ("SCT", "85756007", "Tissue")
"""Category and type of a label without a code: that it is some tissue is all that can be said."""
ANATOMICAL: Code = ("SCT", "91723000", "Anatomical Structure")
ABNORMAL: Code = ("SCT", "49755003", "Morphologically Abnormal Structure")
SIDES: Mapping[str, Code] = {
    "left": ("SCT", "7771000", "Left"),
    "right": ("SCT", "24028007", "Right"),
    "anterior": ("SCT", "255549009", "Anterior"),
    "posterior": ("SCT", "255551008", "Posterior"),
}
"""What the fourth part of a card's code says of the first three."""
_LENGTHS = (16, 16, 64)
"""Most characters of each part."""


@dataclass(frozen=True)
class Segment:
    """One label of a label map, as a segmentation describes it."""

    value: int
    """In the label map."""
    name: str
    category: Code = TISSUE
    kind: Code = TISSUE
    side: Code | None = None


def segments(
    names: Mapping[int, str], codes: Mapping[str, Sequence[str]], abnormal: Collection[str] = ()
) -> tuple[Segment, ...]:
    """A segment for each label, ascending by value.

    names: label value -> name. codes: name -> scheme, value, meaning and, maybe, a key of `SIDES`. abnormal: names
    whose code is a tumour, an oedema, ... rather than a part of the body. A label without a code gets the generic one,
    and so does one whose code cannot stand in a DICOM file.
    """
    return tuple(_segment(value, names[value], codes, abnormal) for value in sorted(names))


def _segment(value: int, name: str, codes: Mapping[str, Sequence[str]], abnormal: Collection[str]) -> Segment:
    code = codes.get(name, ())
    if not _fits(code):
        return Segment(value, name)
    scheme, number, meaning, *side = code
    category = ABNORMAL if name in abnormal else ANATOMICAL
    return Segment(value, name, category, (scheme, number, meaning), SIDES[side[0]] if side else None)


def _fits(code: Sequence[str]) -> bool:
    if not isinstance(code, list | tuple) or len(code) not in (3, 4):
        return False
    if not all(isinstance(part, str) and part.isascii() for part in code):
        return False
    short = all(0 < len(part) <= most and "\\" not in part for part, most in zip(code, _LENGTHS, strict=False))
    return short and (len(code) == 3 or code[3] in SIDES)
