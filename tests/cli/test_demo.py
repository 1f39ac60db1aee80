"""The one run in which everything is real: phantoms, plan, preprocess, train, predict, evaluate, draw."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
_SHORT = """
import sys
from pathlib import Path
from medmamba.demo import DemoOptions, run
from medmamba.nnunet.watching.history import HistoryFile
from medmamba.nnunet.watching.pictures import Pictures
run(DemoOptions(Path(sys.argv[1]), epochs=1, iterations=3), on_step=print, watchers=[HistoryFile(), Pictures()])
"""


def fresh(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """A process of its own, because nnU-Net reads its folders once, when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    done = fresh("-c", _SHORT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["data", "plan and preprocess", "train", "predict", "evaluate", "draw"]
    return folder


def test_report_and_picture(out: Path) -> None:
    report = json.loads((out / "Dataset900_Phantoms_report.json").read_text())
    assert report["cases"] == len(report["per_case"]) == 4
    assert set(report["targets"]) == {"capsule", "core", "vessel"}
    assert (out / "Dataset900_Phantoms_overlay.png").read_bytes().startswith(b"\x89PNG")


def test_the_training_can_be_seen(out: Path) -> None:
    fold = next(out.glob("nnUNet_results/*/*/fold_0"))
    assert json.loads((fold / "history.jsonl").read_text())["dice"].keys() == {"capsule", "core", "vessel"}
    assert (fold / "pictures" / "epoch_0001.png").is_file() and (fold / "progress.png").is_file()


def test_the_commands_go_on_from_there(out: Path, tmp_path: Path) -> None:
    where = ("--data-root", out, "--dataset", "Phantoms", "--net", "umamba-bot", "--preset", "small")
    short = ("--epochs", "2", "--iterations", "1", "--resume")
    trained = fresh("-m", "medmamba.cli", "train", *where, *short)
    assert trained.returncode == 0, trained.stderr
    assert "epoch 2/2" in trained.stdout and "epoch 1/2" not in trained.stdout
    image = out / "nnUNet_raw" / "Dataset900_Phantoms" / "imagesTs" / "phantom_016_0000.nii.gz"
    model = ("--data-root", out, "--model", "Phantoms:umamba-bot:small", "--no-mirror")
    predicted = fresh("-m", "medmamba.cli", "predict", *model, "--input", image, "--output", tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "phantom_016.nii.gz").is_file()


def test_a_failure_names_its_step(run: Any, tmp_path: Path) -> None:
    result = run("demo", "--data", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 4
    assert "step 'data'" in result.stderr and "dataset.json" in result.stderr
