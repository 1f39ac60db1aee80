import pytest

from medmamba.data.cards import card, cards
from medmamba.data.prepare.lists import dataset_json
from medmamba.data.scoring import LesionRules
from medmamba.errors import ConfigError, DataError
from medmamba.evaluate.targets import TOLERANCE, Rules, rules_of

PLAIN = {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}, "file_ending": ".mha"}


def tolerances(rules: Rules) -> dict[str, float]:
    return {one.name: one.tolerance for one in rules.targets}


def test_labels_and_ignore_of_a_dataset_json() -> None:
    rules = rules_of(PLAIN)
    assert [(one.name, one.values, one.kind) for one in rules.targets] == [("a", (1,), "label"), ("b", (2,), "label")]
    assert (rules.declared, rules.ignore, rules.ending, rules.lesions) == ((0, 1, 2, 3), 3, ".mha", None)


@pytest.mark.parametrize("content", [{}, {"labels": {"background": 0}}, {"labels": {"a": -1}}])
def test_a_dataset_without_labels_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(DataError, match="label"):
        rules_of(content)


def test_brats_has_regions_its_labels_and_rules_for_lesions() -> None:
    brats = card("BraTS2023")
    rules = rules_of(dataset_json(brats, 1), brats)
    assert [one.name for one in rules.targets if one.learnt] == ["WT", "TC", "ET"]
    assert [one.name for one in rules.targets if not one.learnt] == ["NCR", "SNFH_ED"]  # ET is a region already
    assert rules.lesions == LesionRules(dilation=3, min_volume=50, penalty=374)
    assert rules_of(dataset_json(brats, 1), brats, lesion_wise=False).lesions is None


def test_a_label_and_a_region_of_one_name_stay_apart() -> None:
    kits = card("KiTS23")
    rules = rules_of(dataset_json(kits, 1), kits)
    assert {one.name: one.values for one in rules.targets} == {
        "kidney": (1, 2, 3), "masses": (2, 3), "tumor": (2,), "kidney (label 1)": (1,), "cyst": (3,),
    }  # fmt: skip
    assert tolerances(rules)["masses"] == 1.1329 and tolerances(rules)["cyst"] == TOLERANCE


def test_typed_tolerances_go_before_the_cards() -> None:
    kits = card("KiTS23")
    content = dataset_json(kits, 1)
    assert set(tolerances(rules_of(content, kits, "2")).values()) == {2}
    some = tolerances(rules_of(content, kits, "tumor=0.5, kidney=3"))
    assert (some["tumor"], some["kidney"], some["masses"]) == (0.5, 3, 1.1329)


@pytest.mark.parametrize("text", ["x", "a=", "-1", "a=inf", "c=2", "nan"])
def test_tolerances_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--tolerance"):
        rules_of(PLAIN, tolerance=text)


def test_a_card_of_other_labels_is_not_used() -> None:
    rules = rules_of(PLAIN, card("BraTS2023"))
    assert rules.lesions is None and "not used" in rules.notes[0]
    assert rules_of(PLAIN, lesion_wise=True).lesions == LesionRules()


def test_every_card_gives_rules() -> None:
    for one in cards().values():
        if one.targets:
            rules = rules_of(dataset_json(one, 1), one)
            assert not rules.notes and len({target.name for target in rules.targets}) == len(rules.targets), one.name
