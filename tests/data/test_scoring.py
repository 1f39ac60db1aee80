from pathlib import Path

import pytest
from pydantic import ValidationError

from medmamba.data.cards import card, read_card
from medmamba.data.scoring import LesionRules
from medmamba.errors import ConfigError
from medmamba.resources import folder


def test_brats_2023_rules_are_those_of_the_challenge() -> None:
    expected = {"": (3, 50), "-SSA": (3, 50), "-PED": (3, 50), "-MEN": (1, 50), "-MET": (1, 2)}
    for name, (dilation, volume) in expected.items():
        assert card(f"BraTS2023{name}").lesions == LesionRules(dilation=dilation, min_volume=volume, penalty=374)


@pytest.mark.parametrize("given", [{"dilation": -1}, {"min_volume": -1}, {"penalty": 0}, {"other": 1}])
def test_rules_that_are_none_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        LesionRules(**given)


@pytest.mark.parametrize(("line", "key"), [("nobody = 1", "nsd_tolerance.nobody"), ("masses = 0", "not a positive")])
def test_a_tolerance_must_be_of_something_and_positive(tmp_path: Path, line: str, key: str) -> None:
    text = (folder("datasets") / "KiTS23.toml").read_text()
    (tmp_path / "KiTS23.toml").write_text(text.replace("masses = 1.1329", line))
    with pytest.raises(ConfigError, match=key):
        read_card(tmp_path / "KiTS23.toml")


def test_cards_tell_them() -> None:
    assert card("BraTS2023-MET").facts()["lesions"] == ["dilation = 1, min_volume = 2.0, penalty = 374.0"]
    assert "kidney = 1.0331" in card("KiTS23").facts()["nsd_tolerance"][0]
