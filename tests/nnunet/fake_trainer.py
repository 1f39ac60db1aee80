"""What watchers read of a trainer, without a training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from torch import nn

PLAIN = {"background": 0, "shell": 1, "core": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}


class Network(nn.Module):
    """Answers with fixed maps, a list of them as under deep supervision, and draws from every generator."""

    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm3d(1).eval()
        self.part = nn.Dropout()
        self.output = output

    def forward(self, data: torch.Tensor) -> list[torch.Tensor]:
        assert not self.part.training
        assert not torch.is_grad_enabled()
        torch.rand(1)
        np.random.rand()
        return [self.output[: len(data)], self.output[: len(data), :, ::2]]


def label_manager(labels: dict[str, Any] = PLAIN) -> LabelManager:
    regions = any(isinstance(value, list) for value in labels.values())
    return LabelManager(labels, [1, 2] if regions else None)


def trainer(folder: Path, batch: dict[str, Any], output: torch.Tensor, labels: dict[str, Any] = PLAIN) -> Any:
    """A trainer whose validation batches are all `batch` and whose network says `output`."""
    network = Network(output)
    network.train()
    network.frozen.eval()
    dims = batch["data"].ndim - 2
    return SimpleNamespace(
        output_folder=str(folder / "results" / "fold_0"),
        preprocessed_dataset_folder=str(folder / "data"),
        label_manager=label_manager(labels),
        plans_manager=SimpleNamespace(transpose_forward=[0, 1, 2]),
        configuration_manager=SimpleNamespace(spacing=[1.0] * dims),
        dataset_json={"channel_names": {"0": "MRI"}, "labels": labels},
        device=torch.device("cpu"),
        network=network,
        module=lambda: network,
        validation_batch=lambda step: batch,
    )
