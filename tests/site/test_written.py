import errno
import os
from pathlib import Path

import pytest
import yaml

from medmamba.errors import SetupError
from medmamba.site.written import write_document


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_both_forms_are_read_back(tmp_path: Path, name: str) -> None:
    content = {"b": [1, 2.5, None], "a": {"text": "no: yes"}}
    write_document(tmp_path / "new" / name, content)
    text = (tmp_path / "new" / name).read_text()
    assert yaml.safe_load(text) == content and text.index("b") < text.index("a")


def test_a_file_that_is_mounted_itself_is_written_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(source: object, target: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(SetupError, match="can be written to"):
        write_document(tmp_path / "a.yaml", {})
    (tmp_path / "a.yaml").touch()
    write_document(tmp_path / "a.yaml", {"a": 1})
    assert (tmp_path / "a.yaml").read_text() == "a: 1\n"
