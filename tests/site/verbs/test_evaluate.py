import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bundle.made import change
from tests.site.made import SHAPE, Container, files, image, jobs, label_map

CASES = "abcdef"


def given(container: Container, cases: str = CASES, home: str = "") -> tuple[Path, Path]:
    """Predictions and references of some cases, none alike."""
    predictions, labels = container.root / "output" / "predictions", container.root / "input" / "labels"
    if home:
        predictions, labels = container.root / home / "predictions", container.root / home / "labels"
    for seed, case in enumerate(cases):
        label_map(predictions / f"{case}.nii.gz", seed)
        label_map(labels / f"{case}.nii.gz", seed + 100)
    return predictions, labels


def written(container: Container, name: str = "output/report.json") -> dict[str, Any]:
    """The scores."""
    return json.loads((container.root / name).read_text())


def test_aggregates_with_intervals_leave(mounted: Container) -> None:
    cases = "abcdefghij"
    given(mounted, cases)
    ran = mounted("evaluate", "--tolerance", "2")
    assert ran.code == 0, ran.err
    assert files(mounted.root / "output") == [
        "log.jsonl", *(f"predictions/{case}.nii.gz" for case in cases), "report.json",
    ]  # fmt: skip
    report = written(mounted)
    assert report["bundle"].startswith("sha256:") and report["versions"]["torch"]
    assert (report["cases"], report["failed"], report["min_cases"]) == (10, 0, 5)
    assert list(report["targets"]) == ["shell", "core"]
    for target in report["targets"].values():
        assert target["nsd_tolerance_mm"] == 2
        dice = target["measures"]["dice"]
        assert dice["n"] == 10 and dice["low"] <= dice["mean"] <= dice["high"] and 0.2 < dice["mean"] < 0.5
        assert set(target["measures"]) == {"dice", "nsd", "hd95_mm", "volume_error_percent"}
    assert "one" in report["empty"] and report["failures"]["counted_as"]["dice"] == "0"
    assert len(ran.fields("case_scored")) == 10 and ran.fields("pairs_found") == [{"pairs": 10, "surplus": 0}]
    assert ran.fields("file_written") == [{"file": "report.json"}]


def test_nothing_of_a_single_case_is_in_it(mounted: Container) -> None:
    given(mounted)
    mounted("evaluate")
    text = (mounted.root / "output" / "report.json").read_text()
    keys: set[str] = set()

    def collect(content: Any) -> None:
        for name, value in content.items():
            keys.add(name)
            if isinstance(value, dict):
                collect(value)

    collect(json.loads(text))
    assert keys.isdisjoint({"per_case", "min", "max", "results", "case", *CASES})
    assert not any(f"{case}.nii" in text for case in CASES)


def test_of_what_few_cases_have_nothing_is_told(mounted: Container) -> None:
    predictions, labels = given(mounted)
    for case in CASES[:2]:
        label_map(predictions / f"{case}.nii.gz", values=(0, 1))
        label_map(labels / f"{case}.nii.gz", 7, values=(0, 1))
    assert mounted("evaluate").code == 0
    report = written(mounted)
    assert report["targets"]["core"]["measures"] is None and report["targets"]["core"]["cases"] == "fewer than 5"
    assert not report["targets"]["core"]["in_mean"]
    shell = report["targets"]["shell"]["measures"]["dice"]
    assert report["mean"]["dice"]["mean"] == pytest.approx(shell["mean"])  # else the other one could be worked out
    assert mounted("evaluate", "--min-cases", "4").code == 0
    assert written(mounted)["targets"]["core"]["measures"]["dice"]["n"] == "fewer than 4 off 6"
    assert mounted("evaluate", "--min-cases", "2").code == 2
    for case in CASES[1:]:
        (labels / f"{case}.nii.gz").unlink()
    assert mounted("evaluate").code == 0
    report = written(mounted)
    assert report["cases"] == "fewer than 5" and report["mean"] == {}
    assert all(target["measures"] is None for target in report["targets"].values())


def test_failures_count_as_worst(mounted: Container) -> None:
    predictions, labels = given(mounted)
    assert mounted("evaluate").code == 0
    before = written(mounted)["targets"]["shell"]["measures"]
    cases = "ghijk"
    for case in cases:
        label_map(labels / f"{case}.nii.gz", 3)
    shutil.copy(labels / "g.nii.gz", predictions / "surplus.nii.gz")
    label_map(predictions / "g.nii.gz", shape=(3, 3, 3))
    label_map(predictions / "h.nii.gz", values=(0, 9))
    (predictions / "i.nii.gz").write_bytes(b"nothing")
    ran = mounted("evaluate")
    assert ran.code == 6
    assert sorted(ran.faults) == sorted(["pair-shape", "pair-values", "not-gzip", "no-prediction", "no-prediction"])
    assert ran.fields("pairs_found") == [{"pairs": 11, "surplus": 1}]
    report = written(mounted)
    after = report["targets"]["shell"]["measures"]
    assert (report["cases"], report["failed"]) == (11, 5)
    assert after["dice"]["n"] == 11 and after["dice"]["mean"] == pytest.approx(
        before["dice"]["mean"] * 6 / 11, abs=0.001
    )
    diagonal = sum((n * edge) ** 2 for n, edge in zip(SHAPE, (1.0, 0.8, 0.7), strict=True)) ** 0.5
    worst = (before["hd95_mm"]["mean"] * 6 + diagonal * 5) / 11
    assert after["hd95_mm"]["mean"] == pytest.approx(worst, abs=0.1)


def test_without_anything_to_score_it_is_invalid_input(mounted: Container) -> None:
    (mounted.root / "input").mkdir()
    assert mounted("evaluate").faults == ["no-references"]
    label_map(mounted.root / "input" / "labels" / "a.nii.gz")
    ran = mounted("evaluate")
    assert (ran.code, ran.faults) == (3, ["no-prediction", "no-predictions"])
    assert not (mounted.root / "output" / "report.json").exists()
    assert mounted("evaluate", "--tolerance", "ZZPHIZZ=1").code == 2


def test_medperf_evaluator(mounted: Container) -> None:
    given(mounted, home="mlcommons/volumes")
    ran = mounted("evaluate")
    assert ran.code == 0, ran.err
    assert ran.fields("mode_chosen") == [{"mode": "medperf", "how": "detected"}]
    results = mounted.root / "mlcommons" / "volumes" / "results"
    assert files(results) == ["results.yaml"] and not (mounted.root / "output").exists()
    content = yaml.safe_load((results / "results.yaml").read_text())
    assert content["targets"]["shell"]["measures"]["dice"]["n"] == 6
    shutil.rmtree(mounted.root / "model")
    assert mounted("evaluate").code == 5
    ran = mounted("evaluate", "--dataset", "Hippocampus")
    assert ran.code == 0, ran.err
    assert yaml.safe_load((results / "results.yaml").read_text())["bundle"] is None
    assert mounted("evaluate", "--dataset", "ZZPHIZZ").code == 2


@pytest.mark.parametrize("verb", ["evaluate", "run"])
def test_grand_challenges_evaluation(mounted: Container, verb: str) -> None:
    root = mounted.root
    truth = root / "opt" / "ml" / "input" / "data" / "ground_truth"
    for seed, case in enumerate("abc"):
        label_map(truth / f"{case}.1.mha", seed)
        label_map(root / "input" / f"pk-{case}" / "output" / "images" / "segmentation" / "output.mha", seed + 9)
    shutil.rmtree(root / "input" / "pk-c" / "output")
    jobs(root / "input", {f"{case}.1.mha": f"pk-{case}" for case in "abc"} | {"other.mha": "pk-d"})
    ran = mounted(verb)
    assert (ran.code, ran.faults) == (6, ["no-prediction"])
    assert ran.fields("mode_chosen") == [{"mode": "grand-challenge", "how": "detected"}]
    assert ran.fields("pairs_found") == [{"pairs": 3, "surplus": 1}]
    assert files(root / "output") == ["metrics.json"]
    content = written(mounted, "output/metrics.json")
    assert set(content) == {"results", "aggregates"} and len(content["results"]) == 3
    dice = [one["targets"]["shell"]["dice"] for one in content["results"]]
    assert dice[2] == 0 and content["aggregates"]["targets"]["shell"]["measures"]["dice"]["mean"] == pytest.approx(
        sum(dice) / 3
    )


def test_jobs_that_lead_out_are_refused(mounted: Container) -> None:
    label_map(mounted.root / "opt" / "ml" / "input" / "data" / "ground_truth" / "a.mha")
    jobs(mounted.root / "input", {"a.mha": "../secret"})
    ran = mounted("evaluate")
    assert (ran.code, ran.faults) == (3, ["sockets"])
    (mounted.root / "input" / "predictions.json").write_text('[{"inputs": 3}]')
    assert mounted("evaluate").faults == ["sockets"]


def test_raw_values_are_scored_as_such(mounted: Container) -> None:
    raw = {"kind": "values", "to_raw": {"0": 0, "1": 7, "2": 4}}
    change(mounted.root / "model", "bundle.json", lambda found: found.update(label_map=raw))
    predictions, labels = given(mounted)
    for seed, case in enumerate(CASES):
        label_map(predictions / f"{case}.nii.gz", seed, (0, 7, 4))
        label_map(labels / f"{case}.nii.gz", seed + 9, (0, 7, 4))
    ran = mounted("evaluate", "--raw-labels")
    assert ran.code == 0, (ran.err, ran.out)
    assert written(mounted)["targets"]["shell"]["values"] == [7]
    assert mounted("evaluate").code == 3


def test_this_mode_does_not_score(mounted: Container) -> None:
    image(mounted.root / "input" / "a" / "a-t1c.nii.gz")
    ran = mounted("evaluate", "--mode", "brats-2025")
    assert (ran.code, ran.faults) == (2, ["mode-verb"])
