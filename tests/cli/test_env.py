import json
import subprocess
from pathlib import Path
from typing import Any

from medmamba.nnunet import door


def test_lines_survive_the_shell(run: Any, tmp_path: Path) -> None:
    root = tmp_path / "a 'quoted' place"
    lines = run("env", "--data-root", root).stdout
    shell = 'eval "$1"; printf "%s|%s" "$nnUNet_raw" "$nnUNet_extTrainer"'
    done = subprocess.run(["bash", "-c", shell, "-", lines], capture_output=True, text=True, check=True)
    assert done.stdout == f"{root / 'nnUNet_raw'}|{door.folder()}"


def test_json(run: Any) -> None:
    assert set(json.loads(run("env", "--json").stdout)) == {
        "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "nnUNet_extTrainer",
    }  # fmt: skip
