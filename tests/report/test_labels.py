import json
from pathlib import Path

from medmamba.report.labels import Labels, labels_of
from medmamba.report.scores import Scores, read_scores
from tests.report.made import scores_of_many


def test_names_numbers_and_colours() -> None:
    found = Labels({2: "two", 5: "five"})
    assert [found.of(value).number for value in (2, 5)] == [1, 2]
    assert found.of(5).name == "five" and found.of(2).colour != found.of(5).colour
    assert found.of(7).name == "label 7" and len(found.of(7).rgb) == 3


def test_anything_may_come_where_nothing_is_declared() -> None:
    found = labels_of(Scores(()), None)
    assert found.of(3).number == 3 and found.values[-1] == 255 and not found.names


def test_regions_name_no_label_but_tell_of_what_it_is_a_part(tmp_path: Path) -> None:
    path = scores_of_many(tmp_path, 2, 2)
    content = json.loads(path.read_text())
    content["targets"]["structure_00"] |= {"kind": "region", "values": [1, 2]}
    content["targets"]["structure_01"] |= {"kind": "region", "values": [2]}
    path.write_text(json.dumps(content))
    assert labels_of(read_scores(path), None).names == {1: "label 1 (structure_00)", 2: "structure_01"}
