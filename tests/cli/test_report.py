from pathlib import Path
from typing import Any

from tests.report.made import make


def test_a_report_is_written(run: Any, tmp_path: Path) -> None:
    made = make(tmp_path)
    folders = ("--images", made.folder / "images", "--pred", made.folder / "pred", "--ref", made.folder / "ref")
    result = run("report", "--metrics", made.folder / "scores", *folders, "--title", "Mine", "--output", "out/r.html")
    assert result.exit_code == 0 and "out/r.html" in result.stdout, result.output
    text = (tmp_path / "out" / "r.html").read_text()
    assert "<h1>Mine</h1>" in text and "viewer-canvas" in text


def test_the_metrics_file_itself_and_no_viewer(run: Any, tmp_path: Path) -> None:
    made = make(tmp_path)
    result = run("report", "--metrics", made.folder / "scores" / "metrics.json", "--viewer-cases", "0")
    assert result.exit_code == 0 and (tmp_path / "report.html").is_file(), result.output


def test_what_is_wrong_is_a_sentence(run: Any, tmp_path: Path) -> None:
    nothing = run("report")
    assert nothing.exit_code == 2 and "nothing to report" in nothing.stderr
    folder = run("report", "--metrics", tmp_path, "--output", tmp_path)
    assert folder.exit_code == 2 and "is a folder" in folder.stderr
    missing = run("report", "--metrics", tmp_path / "none.json", "--output", tmp_path / "r.html")
    assert missing.exit_code == 4 and "none.json" in missing.stderr and not (tmp_path / "r.html").exists()


def test_a_place_that_takes_no_file_is_a_sentence(run: Any, tmp_path: Path) -> None:
    made, taken = make(tmp_path), tmp_path / "taken"
    taken.touch()
    result = run("report", "--metrics", made.folder / "scores", "--output", taken / "r.html")
    assert result.exit_code == 3 and "r.html could not be written" in result.stderr, result.output
