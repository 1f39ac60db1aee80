from typing import Any

import pytest

from medmamba.dicom.codes import ABNORMAL, ANATOMICAL, SIDES, TISSUE, Segment, segments

CODES = {
    "left kidney": ("SCT", "64033007", "Kidney", "left"),
    "tumor": ("SCT", "108369006", "Tumor"),
}


def test_codes_categories_and_sides() -> None:
    names = {3: "what", 1: "left kidney", 2: "tumor"}
    assert segments(names, CODES, ["tumor"]) == (
        Segment(1, "left kidney", ANATOMICAL, CODES["left kidney"][:3], SIDES["left"]),
        Segment(2, "tumor", ABNORMAL, CODES["tumor"], None),
        Segment(3, "what", TISSUE, TISSUE, None),
    )


@pytest.mark.parametrize(
    "code",
    [("SCT", "1"), ("SCT", "1", "x", "up"), ("SCT", "1" * 17, "x"), ("SCT", "1", "é"), ("SCT", 1, "x"), 5,
     ("", "1", "x"), ("SCT", "1", "a\\b")],
)  # fmt: skip
def test_what_cannot_stand_in_a_file_becomes_the_generic_code(code: Any) -> None:
    assert segments({1: "a"}, {"a": code}) == (Segment(1, "a", TISSUE, TISSUE, None),)


def test_the_generic_codes_are_those_of_the_standard() -> None:
    pytest.importorskip("pydicom")
    from pydicom.sr.codedict import codes

    known = [codes.SCT.Tissue, codes.SCT.AnatomicalStructure, codes.SCT.MorphologicallyAbnormalStructure]
    known += [codes.SCT.Left, codes.SCT.Right, codes.SCT.Anterior, codes.SCT.Posterior]
    ours = [TISSUE, ANATOMICAL, ABNORMAL, *SIDES.values()]
    assert [(one.scheme_designator, one.value, one.meaning) for one in known] == ours
