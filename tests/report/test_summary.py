import shutil
from pathlib import Path

import numpy as np

from medmamba.report.names import Names
from medmamba.report.scores import Scores, read_scores
from medmamba.report.summary import summary
from tests.report.made import make, save, score, scores_of_many


def test_headline_structures_and_charts(tmp_path: Path) -> None:
    made = make(tmp_path)
    shutil.copy(made.folder / "ref" / "a.nii.gz", made.folder / "ref" / "lost.nii.gz")
    scores = read_scores(score(made.folder))
    found = summary(scores, Names())
    dice = scores.content["mean"]["dice"]
    assert found.headline[0].mean == f"{dice['mean']:.3f}"
    assert found.headline[0].interval == f"{dice['low']:.3f} to {dice['high']:.3f}"
    ball = found.structures[0]
    assert ball.name == "ball" and ball.cases == 3 and ball.counts == (3, 0, 0, 0)
    assert ball.with_failures == f"{scores.content['targets']['ball']['measures']['dice']['failures_as_worst']:.3f}"
    assert [chart.title for chart in found.charts] == ["Dice", "Surface Dice", "HD95 in mm"]
    assert found.charts[0].axis.high == 1 and found.failures[0][0] == "lost"


def test_one_case_has_no_interval(tmp_path: Path) -> None:
    found = summary(read_scores(make(tmp_path, ("a",)).folder / "scores"), Names())
    assert found.headline[0].interval == "" and found.charts[0].strips[0].mean is None


def test_texts_that_may_name_files_are_left_out_where_names_are_hidden(tmp_path: Path) -> None:
    made = make(tmp_path)
    (made.folder / "ref" / "b.nii.gz").unlink()
    (made.folder / "pred" / "c.nii.gz").write_text("no image")
    found = summary(read_scores(score(made.folder)), Names({"a": "p1", "c": "p2"}))
    assert found.failures[0][0] == "p2" and "nii" not in str(found.failures) + str(found.notes) and found.notes
    assert "b.nii.gz" in str(summary(read_scores(score(made.folder)), Names()).notes)


def test_hundreds_of_cases_have_boxes_and_no_dots(tmp_path: Path) -> None:
    found = summary(read_scores(scores_of_many(tmp_path, 400, 20)), Names())
    assert len(found.charts[0].strips) == 20 and found.charts[0].strips[0].box and not found.charts[0].strips[0].dots


def test_the_penalty_of_a_missed_structure_does_not_set_the_scale_of_distances(tmp_path: Path) -> None:
    made = make(tmp_path)
    save(made.folder / "pred" / "c.nii.gz", np.zeros((16, 20, 24), np.uint8))
    chart = summary(read_scores(score(made.folder)), Names()).charts[2]
    assert chart.axis.high < 10 and "beyond the scale" in chart.note
    assert "beyond" not in summary(read_scores(make(tmp_path).folder / "scores"), Names()).charts[2].note


def test_no_scores() -> None:
    assert summary(Scores(("a",)), Names()).structures == ()
