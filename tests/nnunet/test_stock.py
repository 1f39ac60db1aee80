"""Stock nnU-Net's trainer and ours in one process, for real."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from medmamba.bench import training
from medmamba.bench.training import TrainingOptions
from medmamba.errors import DataError
from medmamba.nnunet.stock import OURS, STOCK, loops
from tests.nnunet.small_runs import PLAIN

CPU = torch.device("cpu")


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_both_trainers(workplace: Path, workers: int) -> None:
    before = {path for path in workplace.rglob("*") if path.name != "splits_final.json"}
    report = training.run(TrainingOptions(PLAIN, workers=workers, blocks=1, steps=2), CPU)
    assert [row.name for row in report.rows] == [STOCK, OURS]
    for row in report.rows:
        assert row.steps == 2 and 0 < row.lower <= row.median <= row.upper and 0 <= row.waited < 1 and row.cpu > 0
    assert (report.network, report.batch_size) == ("PlainConvUNet", 2)
    assert "nnunetv2" in json.loads(json.dumps(report.as_json()))["versions"]
    assert {path for path in workplace.rglob("*") if path.name != "splits_final.json"} == before
    assert os.environ["nnUNet_results"] == str(workplace / "results")
    assert multiprocessing.active_children() == []


def test_both_have_the_same_network(workplace: Path) -> None:
    with loops(PLAIN, "3d_fullres", CPU, 0) as both:
        shapes = [[p.shape for p in loop._trainer.network.parameters()] for loop in (both[STOCK], both[OURS])]
        batches = [next(loop._trainer.dataloader_train)["data"].shape for loop in (both[STOCK], both[OURS])]
        optimisers = [loop._trainer.optimizer.defaults for loop in (both[STOCK], both[OURS])]
    assert shapes[0] == shapes[1] and batches[0] == batches[1]
    assert all(optimisers[0][key] == optimisers[1][key] for key in ("lr", "momentum", "weight_decay", "nesterov"))


def test_what_is_not_preprocessed(workplace: Path) -> None:
    with pytest.raises(DataError, match="Configuration 2d of Dataset901_Blobs is not preprocessed"):
        training.run(TrainingOptions(PLAIN, configuration="2d"), CPU)
