from pathlib import Path
from typing import Any

import pytest

from medmamba.data.cards import Card, card
from medmamba.data.layouts import Layout
from medmamba.data.prepare.lists import dataset_json, expected, registration, splits, write_lists
from medmamba.data.prepare.match import Found
from medmamba.nnunet.registration.pairing import read_pairing


def found(name: str, split: str = "training", **more: Any) -> Found:
    layout = Layout.model_validate({"split": split, "images": "{case}.nii", "label": "l/{case}.nii", **more})
    return Found(name, layout, ((Path("x"),),), ())


def changed(name: str, **update: Any) -> Card:
    return Card.model_validate(card(name).model_dump(exclude_unset=True) | update)


def pairs(known: Card, cases: list[Found], folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    write_lists(folder, known, cases)
    return (folder / "pairs.csv").read_text().splitlines()


def with_pairs(name: str, **rule: str) -> Card:
    known = card(name)
    return changed(name, pairs=rule, sure={**known.sure, "pairs": "unverified"})


def test_consecutive_pairs_stay_in_their_split(tmp_path: Path) -> None:
    cases = [found("a"), found("b"), found("c"), found("d", "test"), found("e", "test")]
    assert pairs(with_pairs("Hippocampus", rule="consecutive"), cases, tmp_path / "one") == [
        "split,fixed,moving",
        "training,imagesTr/a_0000.nii.gz,imagesTr/b_0000.nii.gz",
        "training,imagesTr/b_0000.nii.gz,imagesTr/c_0000.nii.gz",
        "test,imagesTs/d_0000.nii.gz,imagesTs/e_0000.nii.gz",
    ]
    across = with_pairs("Prostate", rule="consecutive", fixed_channel="ADC")
    assert pairs(across, cases[:2], tmp_path / "two")[1] == "training,imagesTr/a_0001.nii.gz,imagesTr/b_0000.nii.gz"


def test_pairs_by_name_and_by_channel(tmp_path: Path) -> None:
    cases = [found("1_CT"), found("1_MR"), found("2_MR"), found("3_CT")]
    by_name = with_pairs("Hippocampus", rule="match", fixed="(.*)_MR", moving="(.*)_CT")
    assert pairs(by_name, cases, tmp_path / "a")[1:] == ["training,imagesTr/1_MR_0000.nii.gz,imagesTr/1_CT_0000.nii.gz"]
    both = pairs(with_pairs("Prostate", rule="channels"), [found("x")], tmp_path / "b")
    assert both[1:] == ["training,imagesTr/x_0000.nii.gz,imagesTr/x_0001.nii.gz"]


def test_the_trainer_reads_the_rule_from_dataset_json() -> None:
    joined = {"split": "validation", "join": True}
    cases = [found(name) for name in ("1_CT", "1_MR", "2_MR")] + [found(f"8_{kind}", **joined) for kind in ("CT", "MR")]
    by_name = with_pairs("Hippocampus", rule="match", fixed="(.*)_MR", moving="(.*)_CT")
    content = dataset_json(by_name, 5) | {"registration": registration(cases, by_name)}
    read = read_pairing(content)
    assert [(pair.fixed.case, pair.moving.case) for pair in read.train] == [("1_MR", "1_CT"), ("8_MR", "8_CT")]
    assert [pair.fixed.case for pair in read.validation] == ["8_MR"] and len(read.labels) == 2
    across = changed("Prostate", sure=card("Prostate").sure | {"pairs": "unverified"}, pairs={"rule": "channels"})
    read = read_pairing(dataset_json(across, 1) | {"registration": registration([found("x")], across)})
    assert (read.kind, read.fixed_channel, read.moving_channel) == ("intra", 0, 1)
    one = {"rule": "consecutive", "fixed_channel": "ADC", "moving_channel": "ADC", "ignore_labels": ["TZ"]}
    within = changed("Prostate", sure=across.sure, pairs=one)
    read = read_pairing(dataset_json(within, 5) | {"registration": registration(cases, within)})
    assert (read.kind, read.fixed_channel, read.moving_channel) == ("inter", 1, 1) and list(read.labels) == ["PZ"]
    assert [pair.moving.case for pair in read.validation] == ["8_MR"]


def test_groups_stay_together_and_each_case_is_validated_once() -> None:
    known = card("ACDC")
    cases = [found(f"patient{patient:03d}_frame{frame:02d}") for patient in range(1, 14) for frame in (1, 12)]
    folds = splits(cases, known)
    assert sorted(name for fold in folds for name in fold["val"]) == [case.name for case in cases]
    for fold in folds:
        patients = [{name[:10] for name in fold[part]} for part in ("train", "val")]
        assert not patients[0] & patients[1] and len(fold["train"]) + len(fold["val"]) == len(cases)
    assert splits(cases[:8], known) == [] and splits(cases, card("Hippocampus")) == []


def test_dataset_json_keeps_the_regions_order_and_asks_for_the_reader() -> None:
    content = dataset_json(changed("BraTS2023", reader="NibabelIOWithReorient"), 7)
    assert list(content["labels"]) == ["background", "WT", "TC", "ET"]
    assert (content["regions_class_order"], content["numTraining"]) == ([2, 1, 3], 7)
    assert content["overwrite_image_reader_writer"] == "NibabelIOWithReorient"


def test_unchanged_lists_are_left_alone_and_old_ones_go(tmp_path: Path) -> None:
    known = with_pairs("Hippocampus", rule="consecutive")
    pairs(known, [found("a"), found("b")], tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    write_lists(tmp_path, known, [found("a"), found("b")])
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    write_lists(tmp_path, card("Hippocampus"), [found("a"), found("b")])
    assert {path.name for path in tmp_path.iterdir()} == {"dataset.json", "label_map.json"}


@pytest.mark.parametrize(("name", "wanted"), [("ACDC", {"training": (200, 2), "test": (100, 1)})])
def test_counts_beside_the_card(name: str, wanted: dict[str, tuple[int, int]]) -> None:
    assert expected(card(name), [found("a"), found("b"), found("c", "test")]) == wanted
