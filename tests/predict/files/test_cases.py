from dataclasses import replace
from pathlib import Path

import pytest

from medmamba.errors import DataError
from medmamba.predict.files.cases import Case, find_cases, require_channels
from medmamba.predict.recipe import Recipe
from tests.predict.made_images import recipe

ONE, TWO = recipe(), recipe(channels=("T1w", "T2w"))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def series(*folders: Path) -> None:
    """DICOM by their mark; nothing else is looked at."""
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "IM0").write_bytes(bytes(128) + b"DICM")


def names(cases: list[Case]) -> dict[str, list[str]]:
    return {case.name: [path.name for path in case.files] for case in cases}


@pytest.mark.parametrize(
    ("wanted", "files", "found"),
    [
        (TWO, ["a_0001.nii.gz", "a_0000.nii.gz"], {"a": ["a_0000.nii.gz", "a_0001.nii.gz"]}),
        (ONE, ["b_0000.nii.gz", "a_0000.nii.gz"], {"a": ["a_0000.nii.gz"], "b": ["b_0000.nii.gz"]}),
        (ONE, ["a.nii.gz", "b.mha", "c.nrrd", "d.nii"],
         {"a": ["a.nii.gz"], "b": ["b.mha"], "c": ["c.nrrd"], "d": ["d.nii"]}),
        (TWO, ["a_0000.nii.gz", "a_0001.mha"], {"a": ["a_0000.nii.gz", "a_0001.mha"]}),
        (ONE, ["scan_0012.nii.gz", "scan_0013.nii.gz"],
         {"scan_0012": ["scan_0012.nii.gz"], "scan_0013": ["scan_0013.nii.gz"]}),
        (ONE, ["p_2021.nii.gz"], {"p_2021": ["p_2021.nii.gz"]}),
        (ONE, ["a b_0000.nii.gz", "ä.nii.gz"], {"a b": ["a b_0000.nii.gz"], "ä": ["ä.nii.gz"]}),
        (ONE, ["a.NII.GZ"], {"a": ["a.NII.GZ"]}),
        (ONE, ["a_0000.nii.gz", ".b_0000.nii.gz", "._a_0000.nii.gz", "dataset.json", "a.json", "notes.txt",
               "predict_report.json", "a.png", "sub/c.nii.gz"], {"a": ["a_0000.nii.gz"]}),
        (recipe("flat", ending=".png"), ["a_0000.png", "b.bmp", "c.nii.gz"], {"a": ["a_0000.png"], "b": ["b.bmp"]}),
        (recipe("tiff", ending=".tif"), ["a_0000.tif", "a.json"], {"a": ["a_0000.tif"]}),
    ],
)  # fmt: skip
def test_files_are_put_together_by_name(tmp_path: Path, wanted: Recipe, files: list[str], found: dict) -> None:
    touch(tmp_path, *files)
    assert names(find_cases(tmp_path, wanted)) == found


def test_a_file_and_several_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a_0000.nii.gz", "a_0001.nii.gz", "x/b_0000.nii.gz", "y/c.nii.gz", "y/d.nii.gz")
    assert names(find_cases(str(tmp_path / "a_0000.nii.gz"), ONE)) == {"a": ["a_0000.nii.gz"]}
    files = [tmp_path / "a_0001.nii.gz", tmp_path / "a_0000.nii.gz"]
    assert names(find_cases(files, TWO)) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"]}
    both = find_cases([tmp_path / "x", str(tmp_path / "y"), tmp_path / "y" / "c.nii.gz"], ONE)
    assert list(names(both)) == ["b", "c", "d"]
    (given,) = find_cases([[tmp_path / "y" / "c.nii.gz", tmp_path / "x" / "b_0000.nii.gz"]], TWO)
    assert names([given]) == {"c": ["c.nii.gz", "b_0000.nii.gz"]}
    require_channels(given, TWO)


def test_lists(tmp_path: Path) -> None:
    touch(tmp_path, "p1/t1.nii.gz", "p1/t2.nii.gz", "p2/t1.nii.gz", "p2/t2.nii.gz")
    (tmp_path / "l.txt").write_text("p2/t1.nii.gz, p2/t2.nii.gz\nmissing.nii.gz,p1/t2.nii.gz\n")
    found = names(find_cases(tmp_path / "l.txt", TWO))
    assert found == {"t1": ["t1.nii.gz", "t2.nii.gz"], "missing": ["missing.nii.gz", "t2.nii.gz"]}
    (tmp_path / "l.csv").write_text("p1/t1.nii.gz\np2/t1.nii.gz\n")
    with pytest.raises(DataError, match="are both case t1: one output would replace the other"):
        find_cases(tmp_path / "l.csv", ONE)
    (tmp_path / "l.json").write_text('{"p1": "p1/t1.nii.gz", "p2": "p2/t1.nii.gz"}')
    assert list(names(find_cases(tmp_path / "l.json", ONE))) == ["p1", "p2"]


def test_series(tmp_path: Path) -> None:
    series(tmp_path / "one" / "p1", tmp_path / "one" / "p2.3")
    found = find_cases(tmp_path / "one", ONE)
    assert names(found) == {"p1": ["p1"], "p2.3": ["p2.3"]}
    assert {case.kind for case in found} == {"dicom"}
    assert names(find_cases(tmp_path / "one" / "p1", ONE)) == {"p1": ["p1"]}
    series(tmp_path / "two" / "p_0000", tmp_path / "two" / "p_0001")
    series(tmp_path / "two" / "q" / "T1_0000", tmp_path / "two" / "q" / "T2_0001")
    found = find_cases(tmp_path / "two", TWO)
    assert names(found) == {"p": ["p_0000", "p_0001"], "q": ["T1_0000", "T2_0001"]}
    (tmp_path / "l.txt").write_text("one/p1, one/p2.3\n")
    (case,) = find_cases(tmp_path / "l.txt", TWO)
    assert (case.name, case.kind) == ("p1", "dicom")


def test_the_working_folder_may_be_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series(tmp_path / "p1")
    monkeypatch.chdir(tmp_path / "p1")
    assert find_cases(".", ONE)[0].name == "p1"


def test_files_and_series_may_lie_together(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz")
    series(tmp_path / "b")
    assert [(case.name, case.kind) for case in find_cases(tmp_path, ONE)] == [("a", "files"), ("b", "dicom")]


def refused(tmp_path: Path, wanted: Recipe, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        find_cases(tmp_path, wanted)


def test_what_names_no_cases_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, ONE, r"has no file \*\.nii\.gz, .* it holds nothing")
    refused(tmp_path / "gone", ONE, "gone does not exist")
    refused(tmp_path / "gone.nii.gz", ONE, "does not exist. The model was trained on 1 channel")
    touch(tmp_path / "s", "readme.md", "deeper/a.nii.gz")
    refused(tmp_path / "s", ONE, "it holds deeper, readme.md")
    series(tmp_path / "d")
    refused(tmp_path / "d" / "IM0", ONE, "is one DICOM file. Give the folder")
    touch(tmp_path / "d", "converted.nii.gz")
    refused(tmp_path / "d", ONE, "holds DICOM files and .*converted")
    with pytest.raises(DataError, match="list of images is empty"):
        find_cases([], ONE)
    with pytest.raises(DataError, match="a case without files"):
        find_cases([[]], ONE)


def test_a_name_that_ends_itk_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"caf\\udce9.*is not UTF-8") as caught:
        find_cases([[tmp_path / "caf\udce9_0000.nii.gz"]], ONE)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize(
    "files", [("a_0000.nii.gz", "a_0000.mha"), ("a.nii.gz", "a_0000.nii.gz"), ("a.nii", "a.nii.gz")]
)
def test_two_files_for_one_channel_are_refused(tmp_path: Path, files: tuple[str, str]) -> None:
    touch(tmp_path, *files)
    refused(tmp_path, TWO, "are both channel 0000 of case a")
    refused(tmp_path, ONE, "are both channel 0000 of case a")


def test_cases_without_all_channels_are_kept_and_name_what_they_lack(tmp_path: Path) -> None:
    touch(tmp_path, "a_0000.nii.gz", "b_0001.nii.gz", "c_0000.nii.gz", "c_0001.nii.gz", "d.nii.gz")
    found = {case.name: case for case in find_cases(tmp_path, TWO)}
    require_channels(found["c"], TWO)
    for name, lacking in (("a", r"0001 \(T2w\)"), ("b", r"0000 \(T1w\)"), ("d", r"0001 \(T2w\)")):
        with pytest.raises(DataError, match=f"Case {name} lacks channel {lacking}; it has {tmp_path}/{name}"):
            require_channels(found[name], TWO)
    with pytest.raises(DataError, match=r"Case c has 1 channel\(s\) too many: .*c_0001\.nii\.gz"):
        require_channels(found["c"], ONE)
    with pytest.raises(DataError, match=r"lacks channel 0001 \(T2w\)"):
        require_channels(replace(found["a"], numbers=None), TWO)
