import shutil
from pathlib import Path

import numpy as np

from medmamba.report.names import Names
from medmamba.report.scores import Scores, read_scores
from medmamba.report.table import table, written
from tests.report.made import make, save, score


def test_failed_cases_first_then_the_worst(tmp_path: Path) -> None:
    made = make(tmp_path)
    shutil.copy(made.folder / "ref" / "a.nii.gz", made.folder / "ref" / "lost.nii.gz")
    found = table(read_scores(score(made.folder)), Names(), {"c": "case-0"})
    assert [row.name for row in found.rows] == ["lost", "c", "b", "a"]
    assert found.rows[0].failed and "no prediction" in found.rows[0].note and found.rows[1].anchor == "case-0"
    assert found.columns == ("mean", "ball", "core") and found.rows[3].cells[0].text == "1.000"
    dice = found.data["values"][0]
    assert dice[0][0] is None and dice[0][3] == 1 and len(dice) == 3 and len(dice[0]) == 4
    hidden = table(read_scores(score(made.folder)), Names({"a": "p1"}), {})
    assert "lost" not in " ".join(row.name + row.note for row in hidden.rows)


def test_one_structure_has_no_mean_and_marks_are_told(tmp_path: Path) -> None:
    save(tmp_path / "ref" / "a.nii.gz", np.ones((2, 3, 3), np.uint8))
    save(tmp_path / "pred" / "a.nii.gz", np.zeros((2, 3, 3), np.uint8))
    found = table(read_scores(score(tmp_path, {"labels": {"background": 0, "ball": 1}})), Names(), {})
    assert found.columns == ("ball",) and found.rows[0].cells[0].mark == "missed"
    assert found.data["words"][found.data["marks"][0][0]] == "missed"


def test_without_scores_nothing() -> None:
    assert table(Scores(("a",)), Names(), {}).rows[0].cells == ()
    assert written(None, "dice") == "–" and written(2.25, "hd95_mm") == "2.2"
