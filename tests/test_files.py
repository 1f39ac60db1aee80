from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.files import read_json, replacing, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_half_way() -> None:
        with replacing(target) as temporary:
            temporary.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_keeps_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"z": 1, "a": 2})
    assert list(read_json(tmp_path / "new" / "a.json")) == ["z", "a"]


@pytest.mark.parametrize("text", ["{", "[1]", None])
def test_bad_json_names_the_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "bad.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=r"bad\.json"):
        read_json(path)
