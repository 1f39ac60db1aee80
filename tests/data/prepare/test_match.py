from pathlib import Path
from typing import Any

import pytest

from medmamba.data.cards import Card, card
from medmamba.data.prepare.match import match
from medmamba.errors import DataError


def with_layouts(*layouts: dict[str, Any], **more: Any) -> Card:
    content = card("Hippocampus").model_dump() | {"layout": layouts, **more}
    return Card.model_validate(content)


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


PLAIN = {"split": "training", "images": "i/{case}.nii", "label": "l/{case}.nii"}


def test_what_a_case_lacks(tmp_path: Path) -> None:
    files(tmp_path, "i/whole.nii", "l/whole.nii", "i/bare.nii", "l/lost.nii", "x.dat")
    found = match(with_layouts(PLAIN), tmp_path)
    assert [case.name for case in found.cases] == ["whole"] and found.extra == [tmp_path / "x.dat"]
    assert found.incomplete == {"bare": ("no label",), "lost": ("i/lost.nii is missing",)}


def test_unlabelled_where_the_card_says_so(tmp_path: Path) -> None:
    files(tmp_path, "i/whole.nii", "l/whole.nii", "i/bare.nii")
    found = match(with_layouts({**PLAIN, "label_optional": True}), tmp_path)
    assert (found.unlabelled, found.incomplete, found.extra) == (["bare"], {}, [])


def test_two_files_for_one(tmp_path: Path) -> None:
    files(tmp_path, "i/a.nii", "i/a.nii.gz", "l/a.nii", "i/b.nii", "l/b.nii")
    found = match(with_layouts({**PLAIN, "images": "i/{case}.nii*"}), tmp_path)
    assert found.incomplete["a"] == ("several files match i/a.nii*: a.nii, a.nii.gz",)


def test_a_test_case_may_lack_its_label(tmp_path: Path) -> None:
    files(tmp_path, "i/a.nii", "l/a.nii", "t/b.nii", "t/c.nii", "tl/b.nii")
    test = {"split": "test", "images": "t/{case}.nii", "label": "tl/{case}.nii"}
    found = match(with_layouts(PLAIN, test), tmp_path)
    assert {case.name: len(case.labels) for case in found.cases} == {"a": 1, "b": 1, "c": 0}


def test_one_name_in_two_layouts_is_taken_once(tmp_path: Path) -> None:
    files(tmp_path, "i/a.nii", "l/a.nii", "j/a.nii", "k/a.nii")
    found = match(with_layouts(PLAIN, {**PLAIN, "images": "j/{case}.nii", "label": "k/{case}.nii"}), tmp_path)
    assert [case.images[0][0].parent.name for case in found.cases] == ["i"]
    assert "is there twice" in found.incomplete["a"][0]


def test_a_table_of_splits(tmp_path: Path) -> None:
    files(tmp_path, *(f"{part}/{case}.nii" for part in "il" for case in "abc"))
    (tmp_path / "meta.csv").write_text("\ufeffid;split\na;train\nb;val\nc;test\nd;train\n")
    select = {"file": "meta.csv", "delimiter": ";", "key": "id", "column": "split"}
    training, validation = ({**PLAIN, "select": {**select, "values": value}} for value in ("train", ["val", "test"]))
    known = with_layouts(training, {**validation, "split": "validation", "join": True})
    found = match(known, tmp_path)
    assert [(case.name, case.layout.split) for case in found.cases] == [
        ("a", "training"),
        ("b", "validation"),
        ("c", "validation"),
    ]
    assert (found.incomplete, found.extra) == ({}, [])
    (tmp_path / "meta.csv").write_text("id,split\na,train\n")
    with pytest.raises(DataError, match=r"meta\.csv has no columns 'id' and 'split'"):
        match(known, tmp_path)
    (tmp_path / "meta.csv").unlink()
    with pytest.raises(DataError, match=r"meta\.csv cannot be read"):
        match(known, tmp_path)


def test_masks_by_name(tmp_path: Path) -> None:
    masks = {"label": "m/{case}/{label}.nii", "label_kind": "masks", "mask_names": {"Anterior": ["*front*"]}}
    files(tmp_path, "i/a.nii", "m/a/1_front_L.nii", "m/a/Posterior.nii", "m/a/Anterior.nii", "m/a/other.nii")
    found = match(with_layouts({**PLAIN, **masks}), tmp_path)
    assert [label for label, _ in found.cases[0].labels] == ["Anterior", "Posterior"]
    assert [path.name for path in found.extra] == ["Anterior.nii", "other.nii"]


def test_frames_and_masks_of_a_clip_go_by_number(tmp_path: Path) -> None:
    clip = {"kind": "clip", "images": "f/{case}/{frame}.jpg", "label": "m/{case}/{frame}.png"}
    known = with_layouts({**PLAIN, **clip}, channels=["rgb_to_0_1"] * 3)
    files(tmp_path, *(f"f/v/{frame}.jpg" for frame in (2, 10, 1)), *(f"m/v/{frame}.png" for frame in (10, 2, 1)))
    case = match(known, tmp_path).cases[0]
    assert [path.stem for path in case.images[0]] == [path.stem for _, path in case.labels] == ["1", "2", "10"]
    (tmp_path / "m/v/2.png").unlink()
    files(tmp_path, "m/v/3.png")
    assert match(known, tmp_path).incomplete["v"] == ("frame 2 has no mask", "mask 3 has no frame")


def test_nothing_there_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no training case") as caught:
        match(with_layouts(PLAIN), files(tmp_path, "elsewhere/a.nii"))
    assert "i/{case}.nii" in caught.value.remedy
