import json
from pathlib import Path

import pytest

from medmamba.errors import ConfigError
from medmamba.register.pairs import case_name, read_pairs


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table(tmp_path: Path) -> None:
    first, second = read_pairs(write(tmp_path / "p.csv", "fixed,moving,name,fixed_seg\na,b.nii.gz,,\nc,d,mine,s\n"))
    assert (first.name, first.fixed, first.moving, first.more) == ("a_to_b", "a", "b.nii.gz", {})
    assert second.name == "mine" and second.more == {"fixed_seg": "s"}


@pytest.mark.parametrize(
    "content",
    [
        [{"fixed": "x/a.nii.gz", "moving": "b"}],
        [["x/a.nii.gz", "b"]],
        {"pairs": [{"fixed": "x/a.nii.gz", "moving": "b"}]},
        {"name": "HippocampusMR", "registration_val": [{"fixed": "x/a.nii.gz", "moving": "b"}]},
        {"registration": {"pairing": "list", "pairs_val": [{"fixed": "x/a.nii.gz", "moving": "b"}]}},
    ],
)
def test_every_form_of_json(tmp_path: Path, content: object) -> None:
    (pair,) = read_pairs(write(tmp_path / "p.json", json.dumps(content)))
    assert (pair.name, pair.fixed) == ("a_to_b", "x/a.nii.gz")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.csv", "fixed,moving\n", "lists no pair"),
        ("p.csv", "fixed,other\na,b\n", "Pair 1 .* has no `moving`"),
        ("p.csv", "fixed,moving\na,b\na,b\n", "more than one pair 'a_to_b'"),
        ("p.json", "{", "cannot be read as JSON"),
        ("p.json", "[3]", "no object"),
        ("p.json", "{}", "lists no pair"),
    ],
)
def test_refusals_are_sentences(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_pairs(write(tmp_path / name, text))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_pairs(tmp_path / f"absent-{name}")


def test_case_names_lose_folder_and_ending() -> None:
    assert case_name("imagesTr/case.1_0001.nii.gz") == "case.1_0001"
