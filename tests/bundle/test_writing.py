from pathlib import Path

import pytest

from medmamba.bundle.opened import opened
from medmamba.bundle.writing import write
from medmamba.errors import ConfigError

FILES = [("plans.json", b"{}"), ("previous/plans.json", b"{ }"), ("fold_0.safetensors", b"\0" * 2000)]
DATE = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize("name", ["a", "a.tar", "new/folder/a.tar"])
def test_what_is_written_is_what_is_read(name: str, tmp_path: Path) -> None:
    digest = write(tmp_path / name, FILES, DATE, lambda manifest: manifest[:32])
    with opened(tmp_path / name, digest) as bundle:
        assert bundle.sizes() == {file: len(content) for file, content in FILES}
        assert bundle.document("previous/plans.json") == {}
        assert bundle.weight_files() == ["fold_0.safetensors"]
        bundle.check_weights("fold_0.safetensors")
        assert bundle.signature == bundle.manifest_bytes[:32]
        assert bundle.manifest.created == DATE


def test_it_takes_its_place_only_when_it_is_good(tmp_path: Path) -> None:
    def judge(made: Path) -> None:
        assert made.is_file() and not (tmp_path / "a.tar").exists()
        raise ConfigError("Bad.")

    with pytest.raises(ConfigError, match="Bad"):
        write(tmp_path / "a.tar", FILES, DATE, check=judge)
    assert list(tmp_path.iterdir()) == []


def test_a_dangling_link_is_something_too(tmp_path: Path) -> None:
    (tmp_path / "a.tar").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is there already"):
        write(tmp_path / "a.tar", FILES, DATE)
    assert not (tmp_path / "elsewhere").exists()
