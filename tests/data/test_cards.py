import re
from pathlib import Path
from typing import Any

import pytest

from medmamba.data.cards import card, cards, read_card
from medmamba.errors import ConfigError, DataError
from medmamba.resources import folder

HIPPOCAMPUS = folder("datasets") / "Hippocampus.toml"


def test_every_card_is_valid_and_numbers_are_unique() -> None:
    assert len({card.id for card in cards().values()}) == len(list(folder("datasets").glob("*.toml")))


def test_name_in_any_case() -> None:
    assert card("brats2023").regions_class_order == (2, 1, 3)


def test_aliases_and_files(tmp_path: Path) -> None:
    assert card("BraTS2023-gli") is card("BraTS2023")
    assert card(str(HIPPOCAMPUS)) == card("Hippocampus")
    with pytest.raises(DataError, match="no card"):
        card("nowhere.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(DataError, match=r"folder\.toml cannot be read"):
        card(str(tmp_path / "folder.toml"))


def test_no_name_is_taken_twice() -> None:
    names = [name.lower() for card in cards().values() for name in (card.name, *card.aliases)]
    assert len(set(names)) == len(names)


def test_unknown_card_lists_the_known() -> None:
    with pytest.raises(DataError, match="Hippocampus"):
        card("Hipocampus")


def test_targets_are_regions_or_labels() -> None:
    assert card("BraTS2021").targets["tumor core"] == [2, 3]
    assert card("Hippocampus").targets == {"Anterior": 1, "Posterior": 2}


def test_facts_are_text_without_empty_fields() -> None:
    facts = card("BraTS2023").facts()
    assert facts["regions"] == ["WT = [1, 2, 3], TC = [1, 3], ET = [3]"]
    assert "regions" not in card("Hippocampus").facts()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("id = 4", "id = 4444", "id"),
        ("Posterior = 2", "Posterior = 3", "labels must be"),
        ("training = 260", "", "cases.training"),
        ("access =", 'nickname = "x"\naccess =', "nickname"),
        ('licence = "verified"', "", "licence"),
        ('name = "Hippocampus"', 'name = "Other"', "name"),
        ("id = 4", "id = ", "not valid TOML"),
        ('labels = "verified"', 'labels = "sure"', "sure.labels"),
        ('"Hippocampus", "anterior"', '"Hippocampus", "up"', "codes.Anterior"),
        ("[labels]", 'abnormal = ["Head"]\n\n[labels]', "abnormal names labels without a code"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = HIPPOCAMPUS.read_text()
    assert old in text
    path = tmp_path / "Hippocampus.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_card(path)
    assert str(path) in caught.value.problem
    assert key in caught.value.problem


@pytest.mark.parametrize(
    ("old", "new", "line_with"),
    [
        ("Posterior = 2", "Posterior = 3", "[labels]"),
        ("training = 260", "", "[cases]"),
        ("training = 260", 'training = "many"', "training ="),
        ('images = "imagesTs/{case}.nii.gz"', 'images = "/imagesTs/{case}.nii.gz"', "/imagesTs"),
        ('label = "labelsTr/{case}.nii.gz"', "", "[[layout]]"),
        ('images = "imagesTr/{case}.nii.gz"', 'images = ["a/{case}", "b/{case}"]', '["a/{case}"'),
        ('home = "verified"', 'home = "hearsay"', "hearsay"),
        ('home = "verified"', 'house = "verified"', "house"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, old: str, new: str, line_with: str) -> None:
    text = HIPPOCAMPUS.read_text()
    assert old in text
    path = tmp_path / "Hippocampus.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_card(path)
    number = int(re.search(r"line (\d+)", caught.value.problem)[1])
    assert line_with in path.read_text().splitlines()[number - 1]


@pytest.mark.parametrize("order", ["[1, 2, 3]", "[2, 1]"])
def test_wrong_region_order_is_found(tmp_path: Path, order: str) -> None:
    path = tmp_path / "BraTS2023.toml"
    path.write_text((folder("datasets") / "BraTS2023.toml").read_text().replace("[2, 1, 3]", order))
    with pytest.raises(ConfigError, match="regions"):
        read_card(path)


def test_brats_regions_survive_the_round_trip_that_nnunet_makes() -> None:
    found: Any = card("BraTS2023")
    for value in (1, 2, 3):
        painted = 0
        for members, paint in zip(found.regions.values(), found.regions_class_order, strict=True):
            painted = paint if value in members else painted
        assert painted == value


def test_codes_have_sides_and_marks_of_abnormal_structures() -> None:
    assert card("BTCV").codes["left kidney"] == ("SCT", "64033007", "Kidney", "left")
    assert card("KiTS23").abnormal == ("tumor", "cyst")
    for known in cards().values():
        seen = list(known.codes.values())
        one_sided = [code for code in seen if len(code) == 3]
        sided = [code[:3] for code in seen if len(code) == 4]
        assert not set(one_sided) & set(sided), f"{known.name} has a code with and without a side"


def test_known_codes_mean_what_the_standard_says() -> None:
    pytest.importorskip("pydicom")
    from pydicom.sr._concepts_dict import concepts

    standard = {value: text for entry in concepts["SCT"].values() for value, (text, _) in entry.items()}
    found = {code[1]: code[2] for known in cards().values() for code in known.codes.values()}
    checked = [value for value in found if value in standard]
    assert len(checked) > 40
    for value in checked:
        ours, theirs = (
            {word[:4] for word in re.findall("[a-z]+", text.lower())} for text in (found[value], standard[value])
        )
        assert ours & (theirs | _LATIN.get(value, set())), (value, found[value], standard[value])


_LATIN = {"78961009": {"sple"}}
"""The spleen's is called splenic structure."""
