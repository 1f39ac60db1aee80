from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.predict.files.lists import read_list


def test_lines_name_cases_and_commas_part_channels(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    file = tmp_path / "list.csv"
    file.write_text('\ufeff# T1, T2\na.nii.gz , b.nii.gz\n\n"c, d.nii.gz"\r\n/abs/e.nii.gz\n', encoding="utf-8")
    assert read_list(file) == [
        (None, [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]),
        (None, [tmp_path / "c, d.nii.gz"]),
        (None, [Path("/abs/e.nii.gz")]),
    ]


def test_json_may_give_names(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text('["/a.nii.gz", ["/b.nii.gz", "/c.nii.gz"]]')
    assert read_list(file) == [(None, [Path("/a.nii.gz")]), (None, [Path("/b.nii.gz"), Path("/c.nii.gz")])]
    file.write_text('{"one": "/a.nii.gz"}')
    assert read_list(file) == [("one", [Path("/a.nii.gz")])]


def test_paths_beside_the_list_come_before_those_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    for path in (here / "a.nii", there / "a.nii", here / "b.nii"):
        path.touch()
    (there / "list.txt").write_text("a.nii\nb.nii\nc.nii\n")
    assert [paths[0] for _, paths in read_list(there / "list.txt")] == [
        there / "a.nii", Path("b.nii"), there / "c.nii",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("l.txt", b"", "names no image"),
        ("l.txt", b"# nothing\n\n", "names no image"),
        ("l.txt", b"\xff\xfe\x00\x01", "cannot be read: it is not text"),
        ("l.txt", b"a\0b", "cannot be read: it is not text"),
        ("l.csv", b'"a.nii\n', "cannot be read: unexpected end of data"),
        ("l.csv", b"a.nii,,b.nii\n", "Line 1 .* has an empty place between its commas"),
        ("l.json", b"{", "is not valid JSON"),
        ("l.json", b"3", "holds neither a list nor an object"),
        ("l.json", b"[]", "names no image"),
        ("l.json", b'["a.nii", 3]', "Entry 2 .* is no path and no list of paths"),
        ("l.json", b'{"a": []}', "Entry a .* is no path and no list of paths"),
        ("l.json", b'{"labels": {"background": 0}}', "Entry labels .* is no path"),
        ("l.json", b'{"../a": "a.nii"}', r"names a case '\.\./a', which is no file name"),
        ("l.json", b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_broken_lists_are_refused(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_list(tmp_path / name)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt cannot be read: No such file"):
        read_list(tmp_path / "none.txt")
