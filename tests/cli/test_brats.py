"""From a download of BraTS to a trained network, on two whole cases, as it is typed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = {"--dataset": "BraTS2023", "--net": "segmamba", "--preset": "small"}
_FEW = {"--fold": "all", "--epochs": "1", "--iterations": "2", "--patch-size": "48,64,48", "--device": "cpu"}


def medmamba(root: Path, *words: str) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "medmamba.cli", *words, "--data-root", str(root)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_the_download_to_a_label_map(shared_data: Path, tmp_path: Path) -> None:
    download, root = shared_data / "brats_native", tmp_path / "root"
    before = sorted((path, path.stat().st_mtime_ns) for path in download.rglob("*"))
    medmamba(root, "datasets", "prepare", "BraTS2023", "--from", str(download))
    assert json.loads(medmamba(root, "datasets", "check", "BraTS2023", "--json"))["errors"] == 0
    given = [word for pair in _RUN.items() for word in pair]
    plan = medmamba(root, "preprocess", *given, "--config", "3d_fullres")
    assert "memory, GB" in plan
    few = [word for pair in _FEW.items() for word in pair]
    trained = medmamba(root, "train", *given, *few, "--seed", "0", "--no-validation", "--pictures", "1")
    assert "epoch 1/1" in trained
    fold = next(root.glob("nnUNet_results/*/*/fold_all"))
    assert (fold / "checkpoint_final.pth").is_file()
    assert (fold / "pictures" / "epoch_0001.png").is_file()
    image = root / "nnUNet_raw/Dataset523_BraTS2023/imagesTr"
    medmamba(
        root,
        "predict",
        "--model",
        "BraTS2023:segmamba:small",
        "--folds",
        "all",
        "--no-mirror",
        "--input",
        str(image),
        "--output",
        str(tmp_path / "out"),
    )
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 2
    assert sorted((path, path.stat().st_mtime_ns) for path in download.rglob("*")) == before
