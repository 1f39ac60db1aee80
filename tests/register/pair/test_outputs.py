"""A result's folder appears whole, or not at all."""

from pathlib import Path

import pytest

from medmamba.errors import ConfigError
from medmamba.register.pair import outputs
from medmamba.register.pair.outputs import publishing


def test_it_appears_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "result"
    with publishing(out) as folder:
        (folder / "report.json").write_text("new")
        assert not out.exists() and folder.parent.parent == out.parent
    assert (out / "report.json").read_text() == "new"
    assert [path.name for path in out.parent.iterdir()] == ["result"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "result"
    with publishing(out) as folder:
        (folder / "report.json").write_text("old")
    with pytest.raises(FileNotFoundError), publishing(out) as folder:
        (folder / "report.json").write_text((folder / "gone").read_text())
    assert (out / "report.json").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_an_older_result_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "result"
    out.mkdir()
    (out / "warped_seg.nii.gz").touch()
    (out / "disp_a_b.nii.gz").touch()
    with publishing(out) as folder:
        (folder / "report.json").touch()
    assert [path.name for path in out.iterdir()] == ["report.json"] and not outputs.is_complete(out)


def test_what_is_somebody_elses_stays(tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").touch()
    with pytest.raises(ConfigError, match=r"holds scan.nii.gz, which is no result"), publishing(tmp_path):
        pass
    with pytest.raises(ConfigError, match="is a file"), publishing(tmp_path / "scan.nii.gz"):
        pass
    assert (tmp_path / "scan.nii.gz").exists()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Nothing can be written") as error, publishing(tmp_path / "file" / "result"):
        pass
    assert "--out" in error.value.remedy
