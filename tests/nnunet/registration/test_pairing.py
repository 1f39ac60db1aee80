"""Which images of a dataset are registered to which."""

from typing import Any

import numpy as np
import pytest

from medmamba.errors import DataError
from medmamba.nnunet.registration.pairing import Image, Pair, read_pairing

LABELS = {"background": 0, "left": 1, "right": 2, "fluid": 5}
CASES = ["a", "b", "c", "d"]


def dataset(channels: int = 1, **registration: Any) -> dict[str, Any]:
    names = {str(channel): f"MR{channel}" for channel in range(channels)}
    table = {"registration": registration} if registration else {}
    return {"channel_names": names, "labels": LABELS, "file_ending": ".nii.gz", **table}


def drawn(channels: int = 1, count: int = 200, **registration: Any) -> set[Pair]:
    pairing, draw = read_pairing(dataset(channels, **registration)), np.random.default_rng(0)
    return {pairing.drawn(CASES, draw) for _ in range(count)}


def test_one_channel_means_pairs_of_different_people_both_ways() -> None:
    assert drawn() == {Pair(Image(f, 0), Image(m, 0)) for f in CASES for m in CASES if f != m}


def test_two_channels_mean_the_channels_of_one_person() -> None:
    assert drawn(2) == {Pair(Image(case, 0), Image(case, 1)) for case in CASES}


def test_across_people_and_channels() -> None:
    found = drawn(3, pairing="inter", fixed_channel=2, moving_channel=1)
    assert all(pair.fixed.channel == 2 and pair.moving.channel == 1 for pair in found)
    assert all(pair.fixed.case != pair.moving.case for pair in found)


def test_a_list_names_cases_or_files() -> None:
    rows = [{"fixed": "a", "moving": "b"}, {"fixed": "imagesTr/x_0001_0001.nii.gz", "moving": "imagesTr/d_0000.nii.gz"}]
    pairing = read_pairing(dataset(2, pairs_train=rows))
    assert pairing.kind == "list"
    assert pairing.train == (Pair(Image("a", 0), Image("b", 0)), Pair(Image("x_0001", 1), Image("d", 0)))
    assert {pairing.drawn(CASES, np.random.default_rng(seed)) for seed in range(5)} == {pairing.train[0]}


def test_validation_takes_every_case_once_as_fixed() -> None:
    pairs = read_pairing(dataset()).tested(CASES)
    assert [pair.fixed.case for pair in pairs] == CASES
    assert [pair.moving.case for pair in pairs] == ["b", "c", "d", "a"]


def test_a_case_alone_is_validated_with_one_of_the_others() -> None:
    assert read_pairing(dataset()).tested(["d"], CASES[:3]) == (Pair(Image("d", 0), Image("a", 0)),)


def test_listed_validation_pairs_come_first_where_the_fold_has_them() -> None:
    content = {
        **dataset(),
        "registration_val": [{"fixed": "imagesTr/c_0000.nii.gz", "moving": "imagesTr/a_0000.nii.gz"}],
    }
    pairing = read_pairing(content)
    assert pairing.tested(CASES) == (Pair(Image("c", 0), Image("a", 0)),)
    assert len(pairing.tested(["a", "b"])) == 2


def test_labels_that_are_ignored() -> None:
    assert read_pairing(dataset(ignore_labels=[5])).labels == {"left": 1, "right": 2}
    regions = {"labels": {"background": 0, "all": [1, 2], "core": [2]}, "regions_class_order": [1, 2]}
    assert set(read_pairing({**dataset(), **regions}).labels.values()) == {1, 2}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"paring": "inter"}, "paring"),
        ({"pairing": "all"}, "pairing 'all'"),
        ({"fixed_channel": 4}, "channel 4"),
        ({"pairing": "intra", "moving_channel": 0}, "two channels"),
        ({"pairing": "list"}, "no pairs_train"),
        ({"pairs_train": [{"fixed": "a"}]}, "without `fixed` and `moving`"),
        ({"ignore_labels": "5"}, "ignore_labels"),
    ],
)
def test_what_cannot_be(table: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_pairing(dataset(2, **table))


def test_a_fold_without_a_pair_is_refused() -> None:
    with pytest.raises(DataError, match=r"1 case\(s\) for training make no pair"):
        read_pairing(dataset()).require(["a"], ["b", "c"])
    rows = [{"fixed": "a", "moving": "b"}]
    with pytest.raises(DataError, match="validation make no pair"):
        read_pairing(dataset(pairs_train=rows)).require(["a", "b"], ["c", "d"])
