"""Landmarks in every format and space, and lists that are none."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import ConfigError, DataError
from medmamba.register.points import Points, read_points, write_points
from tests.register.made import FIXED

RAS = np.array([[1.5, -2, 3], [-40, 50.25, 60]])
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]), min_size=1, max_size=9)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([("p.csv", "lps"), ("p.csv", "ras"), ("p.csv", "voxel"), ("p.fcsv", "lps"), ("p.mrk.json", "lps")]),
    st.lists(st.tuples(*[st.floats(-500, 500)] * 3), min_size=1, max_size=4),
    st.data(),
)
def test_what_is_written_is_read(tmp_path_factory, form: tuple, rows: list, data: st.DataObject) -> None:
    name, space = form
    path = tmp_path_factory.mktemp("points") / name
    called = tuple(data.draw(st.lists(names, min_size=len(rows), max_size=len(rows))))
    write_points(Points(np.array(rows), called), path, space, FIXED)
    again = read_points(path, space, FIXED)
    assert np.allclose(again.ras, rows, atol=1e-5)
    assert again.names == called


@pytest.mark.parametrize(
    "text",
    ["x,y,z\n-1.5,2,3\n40,-50.25,60\n", "-1.5,2,3\n40,-50.25,60", "x,y,z,t\n-1.5,2,3,0\n40,-50.25,60,0\n",
     "\ufefflabel,z,y,x\na,3,2,-1.5\n\nb,60,-50.25,40\n"],
)  # fmt: skip
def test_tables_as_people_write_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.csv").write_text(text, encoding="utf-8")
    assert np.allclose(read_points(tmp_path / "p.csv").ras, RAS)


def test_voxels_are_those_of_the_grid(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("3,4,5\n")
    assert np.allclose(read_points(tmp_path / "p.csv", "voxel", FIXED).ras, FIXED.world([[3, 4, 5]]))
    with pytest.raises(ConfigError, match="of which image"):
        read_points(tmp_path / "p.csv", "voxel")


@pytest.mark.parametrize(("said", "sign"), [("0", 1), ("RAS", 1), ("1", -1), ("LPS", -1)])
def test_slicers_fiducials_say_their_space(tmp_path: Path, said: str, sign: int) -> None:
    text = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {said}\n# columns = id,x,y,z,ow,label\n"
    (tmp_path / "p.fcsv").write_text(text + "1,1.5,-2,3,0,left ear\n")
    points = read_points(tmp_path / "p.fcsv", "lps")
    assert np.allclose(points.ras, [[1.5 * sign, -2 * sign, 3]])
    assert points.names == ("left ear",)


@pytest.mark.parametrize(("said", "sign"), [("RAS", 1), ("LPS", -1)])
def test_slicers_markups_say_their_space(tmp_path: Path, said: str, sign: int) -> None:
    points = [
        {"label": "F-1", "position": [1.5, -2, 3]},
        {"label": "F-2", "position": [0, 0, 0], "positionStatus": "undefined"},
    ]
    (tmp_path / "p.mrk.json").write_text(json.dumps({"markups": [{"coordinateSystem": said, "controlPoints": points}]}))
    read = read_points(tmp_path / "p.mrk.json", "voxel")
    assert np.allclose(read.ras, [[1.5 * sign, -2 * sign, 3]])
    assert read.names == ("F-1",)


BAD = {
    "none.csv": ("", "holds no points"),
    "heading.csv": ("x,y,z\n", "holds no points"),
    "other.csv": ("a,b,c\n1,2,3\n", "without x, y, z"),
    "two.csv": ("1,2\n", "line 1: '1,2' is no point"),
    "word.csv": ("x,y,z\n1,2,3\n4,five,6\n", "line 3: '4,five,6'"),
    "nan.csv": ("1,2,nan\n", "no point"),
    "p.txt": ("1 2 3\n", "no ending of a list"),
    "none.fcsv": ("# columns = id,x,y,z\n", "holds no points"),
    "ijk.fcsv": ("# CoordinateSystem = 2\n1,1,2,3\n", "not in LPS or RAS"),
    "short.fcsv": ("1,1,2\n", "no point"),
    "text.mrk.json": ("hello", "no list of markups"),
    "list.mrk.json": ("[]", "no list of markups"),
    "none.mrk.json": ('{"markups": []}', "holds no points"),
    "mixed.mrk.json": (json.dumps({"markups": [
        {"coordinateSystem": one, "controlPoints": [{"position": [1, 2, 3]}]} for one in ("LPS", "RAS")]}), "mixes"),
    "place.mrk.json": ('{"markups": [{"controlPoints": [{"position": null}]}]}', "no point|no list"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_lists_that_are_none_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    text, match = BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=match) as caught:
        read_points(tmp_path / name)
    assert name in caught.value.problem
    assert caught.value.remedy


def test_a_missing_and_a_binary_list_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_points(tmp_path / "gone.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot be read as text"):
        read_points(tmp_path / "binary.csv")


def test_points_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ending"):
        write_points(Points(RAS), tmp_path / "p.txt")
    with pytest.raises(ConfigError, match="of which image"):
        write_points(Points(RAS), tmp_path / "p.csv", "voxel")
    assert not list(tmp_path.iterdir())
