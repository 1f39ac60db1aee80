"""medmamba predict as it is typed, on a network with random weights."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from tests.nnunet import plans_by_hand
from tests.nnunet.results_by_hand import write_results

CHANNELS = len(plans_by_hand.dataset()["channel_names"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("nnUNet_results") / "Dataset007_Made")


def write_cases(folder: Path, count: int, name: str = "case") -> Path:
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(count)
    for number in range(count):
        for channel in range(CHANNELS):
            image = sitk.GetImageFromArray(random.normal(size=(12, 14, 16)).astype(np.float32))
            sitk.WriteImage(image, str(folder / f"{name}{number}_{channel:04d}.nii.gz"))
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_cases(tmp_path / "images", 2)


FAST = ("--no-mirror", "--device", "cpu", "--precision", "fp32")


def test_the_help_is_grouped_and_fits(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    shown = run("predict", "--help").stdout
    assert all(len(line) <= 80 for line in shown.splitlines())
    for panel in ("Model", "Quality and time", "Machine", "What is written", "Large batches"):
        assert f" {panel} " in shown
    assert "--dataset" not in shown and "--ray" in shown


def test_a_folder_and_a_file(run: Any, model: Path, images: Path, tmp_path: Path) -> None:
    more = sorted(write_cases(tmp_path / "more", 1, "other").iterdir())
    inputs = [part for path in (images, *more) for part in ("--input", path)]
    result = run("predict", "--model", model, *inputs, "--output", tmp_path / "out", *FAST)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == [
        "case0.nii.gz", "case1.nii.gz", "other0.nii.gz",
    ]  # fmt: skip
    assert "1/3 case0" in result.stdout and "3 cases: 3 done" in result.stdout
    assert "Segmentations: 3 in" in result.stdout and "medmamba evaluate" in result.stdout
    table = result.stdout[result.stdout.index("Cases") : result.stdout.index("3 cases:")]
    assert all(len(line) <= 80 for line in table.splitlines()) and "peak memory" in table


def test_json_is_alone_on_the_standard_output(run: Any, model: Path, images: Path, tmp_path: Path) -> None:
    how = ("--json", "--save-probabilities", "--folds", "0", *FAST)
    result = run("predict", "--model", f"{model.parent}", "--input", images, "--output", tmp_path / "out", *how)
    report = json.loads(result.stdout)
    assert [case["status"] for case in report["cases"]] == ["done", "done"] and "2/2 case1" in result.stderr
    assert report == json.loads((tmp_path / "out/predict_report.json").read_text()) | {"totals": report["totals"]}
    assert set(report["cases"][0]["seconds"]) >= {"read", "preprocess", "network", "export", "write"}
    assert len(list((tmp_path / "out").glob("*.npz"))) == len(list((tmp_path / "out").glob("*.pkl"))) == 2
    again = run("predict", "--model", model, "--input", images, "--output", tmp_path / "out", "--resume", *how)
    assert [case["status"] for case in json.loads(again.stdout)["cases"]] == ["kept", "kept"]


def test_a_model_by_its_name_and_a_part(run: Any, model: Path, images: Path, tmp_path: Path) -> None:
    named = ("--model", "Made:nnUNetTrainer", "--data-root", model.parents[2])
    os.environ["nnUNet_results"] = str(model.parents[1])
    part = ("--num-parts", "2", "--part-id", "1", "--fast", "--device", "cpu")
    result = run("predict", *named, "--input", images, "--output", tmp_path / "out", *part)
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["case1.nii.gz"]
    report = json.loads((tmp_path / "out/predict_report_part1of2.json").read_text())
    assert report["settings"]["fast"] and report["settings"]["mirror_axes"] == []


def test_a_bad_case_is_6_and_the_rest_is_there(run: Any, model: Path, images: Path, tmp_path: Path) -> None:
    (images / "case0_0000.nii.gz").write_bytes(b"<!doctype html>")
    result = run("predict", "--model", model, "--input", images, "--output", tmp_path / "out", *FAST)
    assert result.exit_code == 6
    assert "1 of 2 cases failed: case0: " in result.stderr and "case0_0000.nii.gz" in result.stderr
    assert "2 cases: 1 done, 1 failed" in result.stdout
    assert (tmp_path / "out/case1.nii.gz").is_file() and not (tmp_path / "out/case0.nii.gz").exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--num-parts", "2", "--part-id", "2"), 2, "no part 2 of 2"),
        (("--roi", "spleen"), 2, "no label spleen"),
        (("--roi", ","), 2, "names no label"),
        (("--raw-labels",), 2, "label_map.json"),
        (("--max-ram", "lots"), 2, "lots"),
        (("--max-ram", "10M"), 6, "memory"),
        (("--checkpoint", "other.pth"), 4, "other.pth"),
        (("--expect", f"sha256:{64 * '0'}"), 5, "digest"),
        (("--folds", "x"), 2, "no list of folds"),
        (("--input", "nowhere"), 4, "nowhere"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    run: Any, model: Path, images: Path, tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    result = run("predict", "--model", model, "--input", images, "--output", tmp_path / "out", *FAST, *options)
    assert result.exit_code == code and said in result.stderr
    assert "Traceback" not in result.output and not list(tmp_path.glob("out/*.nii.gz"))


def test_a_model_that_is_not_there(run: Any, images: Path) -> None:
    result = run("predict", "--model", "nothing", "--input", images, "--output", "out")
    assert result.exit_code == 4 and "nothing" in result.stderr
    assert run("predict", "--input", images, "--output", "out").exit_code == 2


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")
def test_a_fleet_gives_the_same_labels(run: Any, model: Path, images: Path, tmp_path: Path) -> None:
    common = ("--model", model, "--input", images, *FAST)
    assert run("predict", *common, "--output", tmp_path / "alone").exit_code == 0
    result = run("predict", *common, "--output", tmp_path / "fleet", "--ray", "auto", "--jobs", "2")
    assert result.exit_code == 0 and "Ray: 2 workers" in result.stdout, result.output
    for file in (tmp_path / "alone").glob("*.nii.gz"):
        assert (tmp_path / "fleet" / file.name).read_bytes() == file.read_bytes()


def test_sigterm_is_143_and_the_rest_can_be_done(model: Path, tmp_path: Path) -> None:
    images = write_cases(tmp_path / "images", 40)
    command = [sys.executable, "-m", "medmamba.cli", "predict", "--model", str(model), "--input", str(images)]
    command += ["--output", str(tmp_path / "out"), *FAST]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        while not process.stdout.readline().startswith("1/40"):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        rest, error = process.communicate(timeout=120)
    assert process.returncode == 143 and "Stopped by SIGTERM" in error and "--resume" in error
    assert "left" in rest
    report = json.loads((tmp_path / "out/predict_report.json").read_text())
    assert 0 < report["totals"]["done"] == len(list((tmp_path / "out").glob("*.nii.gz"))) < 40
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("option", ["--model", "--input", "--output"])
def test_a_shell_variable_that_is_not_set_is_not_the_present_folder(
    option: str, run: Any, model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    given = {"--model": str(model), "--input": str(images), "--output": str(tmp_path / "out")} | {option: ""}
    result = run("predict", *(part for pair in given.items() for part in pair), *FAST)
    assert result.exit_code == 2 and "is empty" in result.stderr and "shell" in result.stderr
    assert len(list(images.iterdir())) == 2 * CHANNELS and not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a screen that takes no more")
def test_a_screen_that_takes_no_more_is_no_traceback(model: Path, images: Path, tmp_path: Path) -> None:
    given = ("--model", model, "--input", images, "--output", tmp_path / "out", *FAST)
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "medmamba.cli", "predict", *map(str, given)]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
    assert "Traceback" not in ended.stderr
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 2


def test_series_become_dicom_segmentations(run: Any, model: Path, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    from tests.dicom.made import CANARY, write_series

    write_series(tmp_path / "series", np.zeros((16, 14, 12), np.int16))
    given = ("predict", "--model", model, "--input", tmp_path / "series", *FAST, "--output-format", "dicom-seg")
    written = []
    for name in ("a", "b"):
        result = run(*given, "--output", tmp_path / name, "--uid-seed", "3")
        assert result.exit_code == 0, result.output
        assert CANARY not in result.output
        assert CANARY not in "".join(path.read_text() for path in (tmp_path / name).glob("*.json"))
        written.append((tmp_path / name / "series.dcm").read_bytes())
    assert written[0] == written[1]
    found = pydicom.dcmread(tmp_path / "a/series.dcm")
    assert [one.SegmentLabel for one in found.SegmentSequence] == ["shell", "core"]
    assert json.loads((tmp_path / "a/predict_report.json").read_text())["settings"]["uid_seed"] == 3


def test_dicom_segmentations_are_of_series_only(
    run: Any, model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("predict", "--model", model, "--input", images, "--output", tmp_path / "out", *FAST)
    result = run(*given, "--output-format", "dicom-seg")
    assert result.exit_code == 2 and "case0_0000.nii.gz is no DICOM series" in result.stderr
    monkeypatch.setitem(sys.modules, "highdicom", None)
    result = run(*given, "--output-format", "dicom-seg")
    assert result.exit_code == 3 and "pip install 'medmamba[dicom]'" in result.stderr
    assert not (tmp_path / "out").exists()
