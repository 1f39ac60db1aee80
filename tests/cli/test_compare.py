import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.made_labels import run_folder


@pytest.fixture
def scores(tmp_path: Path) -> tuple[Path, Path, Path]:
    return tuple(run_folder(tmp_path / name, 6, flips, seed) for name, flips, seed in
                 (("base", 0.1, 0), ("new_0", 0.4, 1), ("new_1", 0.4, 2)))  # type: ignore[return-value]  # fmt: skip


def test_tables(run: Any, scores: tuple[Path, ...]) -> None:
    result = run("compare", scores[0], f"new={scores[1]},{scores[2]}", "--most", "2")
    assert result.exit_code == 0, result.output
    for text in ("2 seeds", "minus base", "0/6 of 6", "Cases whose Dice changed most"):
        assert text in result.stdout


def test_json_and_file(run: Any, scores: tuple[Path, ...], tmp_path: Path) -> None:
    result = run("compare", *scores[:2], "--measure", "iou", "--out", tmp_path / "out", "--json")
    content = json.loads(result.stdout)
    assert {one["measure"] for one in content["differences"]} == {"iou"}
    assert {one["target"] for one in content["differences"]} == {"mean", "one", "two"}
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == content


def test_misuse_is_a_sentence(run: Any, scores: tuple[Path, ...]) -> None:
    for given, text in (((scores[0],), "nothing to compare"), ((scores[0], "nowhere"), "nowhere")):
        result = run("compare", *given)
        assert result.exit_code in (2, 4) and text in result.stderr


def test_twins_need_a_network_and_data(run: Any) -> None:
    result = run("compare", "--twins", "--net", "umamba-bot")
    assert result.exit_code == 2 and "Give --dataset and --net" in result.stderr


def test_a_place_that_takes_no_file_is_a_sentence(run: Any, scores: tuple[Path, ...], tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    result = run("compare", *scores[:2], "--out", tmp_path / "taken")
    assert result.exit_code == 3 and "taken could not be written" in result.stderr, result.output


def test_evaluations_and_a_network_do_not_go_together(run: Any, scores: tuple[Path, ...]) -> None:
    for words in ((*scores[:2], "--twins"), ("--dataset", "Hippocampus", "--net", "segmamba")):
        result = run("compare", *words)
        assert result.exit_code == 2 and "two comparisons" in result.stderr
