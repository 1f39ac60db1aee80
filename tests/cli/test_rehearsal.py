"""The dry run's table, from figures of its own; tests/nnunet/watching/test_rehearsal.py has the real ones."""

from dataclasses import replace
from typing import Any

import pytest

from medmamba.cli.rehearsal import rows, show_rehearsal
from medmamba.nnunet.presets import Recipe
from medmamba.nnunet.watching.rehearsal import Rehearsal

SWITCHES = {"accumulate": 2, "recompute": True, "deterministic": False, "save_minutes": 10.0}
FOUND = Rehearsal(
    dataset="Dataset004_Hippocampus", fold="0", train_cases=48, val_cases=12, plans="plans.json (would be written)",
    configuration="3d_fullres", spacing=(1.0, 1.0, 2.5), patch_size=(40, 56, 40), batch_size=2, processes=2, stages=4,
    network="umamba-bot", preset="default", parameters=5_600_000, flops=254 * 10**9,
    recipe={**Recipe().model_dump(), **SWITCHES}, seed=None, device="cuda, a GPU", precision="bf16 (this GPU has it)",
    scan="triton (GPU kernels)", workers=12, workers_why="nnU-Net's rule", memory=3 * 2**30, memory_free=None,
    disk=2**30, disk_free=2**40, epoch_seconds=60.0, folder="results/fold_0", files=("progress.png",),
    start="anew", epochs_left=1000, validation=True, problems=("About 3.0 GB of memory are needed.",),
)  # fmt: skip


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_rehearsal(FOUND)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    for words in (
        "48 to train on, 12 to validate", "40x56x40, batch 2, shared by 2 processes", "4 stages", "5.60 M parameters",
        "254 GFLOP", "1000 epochs of 250 training and 50 validation steps", "recompute, batches in 2 parts",
        "16:40:00: 1000 epochs of 60 s", "Plans:  plans.json (would be written)", "About 3.0 GB of memory are needed.",
    ):  # fmt: skip
        assert words in out
    assert out.endswith("Nothing was done.\n")


@pytest.mark.parametrize(
    ("changes", "row", "words"),
    [
        ({"epoch_seconds": None}, "time", "not known"),
        ({"stages": None}, "configuration", "3d_fullres, spacing 1 x 1 x 2.5"),
        ({"seed": 3}, "seed", "3"),
        ({"validation": False}, "afterwards", "no validation"),
        ({"processes": 1}, "patch and batch", "40x56x40, batch 2"),
    ],
)
def test_rows(changes: dict[str, Any], row: str, words: str) -> None:
    assert dict(rows(replace(FOUND, **changes)))[row].startswith(words)
