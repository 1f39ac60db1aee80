"""A fleet of workers on a local Ray: lost workers, cases that kill, everything exactly once."""

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from medmamba.predict.batch import fleet
from medmamba.predict.batch import run as batch
from medmamba.predict.batch.failures import BatchError
from medmamba.predict.files.cases import find_cases
from tests.predict.batch.test_run import labels_of
from tests.predict.fakes import RECIPE, FakeMaker, FakePredictor, model, write_images

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")
NAMES = [f"case{number}" for number in range(8)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", NAMES)
    (tmp_path / "notes").mkdir()
    return tmp_path / "images"


def run(images: Path, out: Path, maker: FakeMaker, **how: Any) -> Any:
    fleet.run(maker, model(), find_cases(images, RECIPE), out, jobs=2, device="cpu", **how)
    return json.loads((out / "predict_report.json").read_text())


@needs_ray
def test_a_worker_is_killed_in_mid_batch(images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    batch.run(FakePredictor(), find_cases(images, RECIPE), tmp_path / "alone", save_probabilities=True)
    maker = FakeMaker(tmp_path / "notes", "case3", seconds=0.2)
    report = run(images, tmp_path / "out", maker, save_probabilities=True)
    assert (tmp_path / "notes/death0").exists()
    assert labels_of(tmp_path / "out") == labels_of(tmp_path / "alone")
    assert not list((tmp_path / "out").glob(".*"))
    assert Counter(case["case"] for case in report["cases"]) == Counter(NAMES)
    assert {case["status"] for case in report["cases"]} == {"done"}
    again = {case["case"] for case in report["cases"] if "done again" in str(case["warnings"])}
    assert "case3" in again and len(again) <= 2
    workers = {file.name.split("-")[1] for file in (tmp_path / "notes").glob("case*")}
    assert len(workers) >= 2
    said = capfd.readouterr()
    assert said.out == "" and said.err == ""


@pytest.mark.slow
@needs_ray
def test_a_case_that_kills_workers_fails_and_the_rest_is_kept(images: Path, tmp_path: Path) -> None:
    batch.run(FakePredictor(), find_cases(images, RECIPE)[:5], tmp_path / "out")
    maker = FakeMaker(tmp_path / "notes", "case6", times=9)
    with pytest.raises(BatchError, match="case6: its worker was lost 3 times") as caught:
        run(images, tmp_path / "out", maker, resume=True)
    assert list(caught.value.failures) == ["case6"]
    report = json.loads((tmp_path / "out/predict_report.json").read_text())
    assert {name: report["totals"][name] for name in ("done", "kept", "failed")} == {"done": 2, "kept": 5, "failed": 1}
    assert not list((tmp_path / "out").glob(".*"))
