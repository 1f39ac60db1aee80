"""Run as a program: the peak of resident memory that training steps of a network add, in bytes.

Its argument is JSON: name, config, shape (batch, channels, *spatial), precision, recompute.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from medmamba.networks import create
from medmamba.networks.footprint import DTYPES
from medmamba.networks.recompute import recompute


def loss(output: Tensor) -> Tensor:
    """Cross-entropy and a Dice-like overlap on softmax, in float32."""
    target = torch.zeros(output.shape[0], *output.shape[2:], dtype=torch.int64)
    overlap = (torch.softmax(output, 1) * nn.functional.one_hot(target, output.shape[1]).movedim(-1, 1)).mean()
    return nn.functional.cross_entropy(output, target) - overlap


def build(task: dict) -> nn.Module:
    """The network of a task."""
    return create(task["name"], input_channels=task["shape"][1], num_classes=3, **task["config"])


def resident(key: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])


def main(task: dict) -> int:
    """Three steps, as the later ones find the memory of the first in pieces."""
    torch.set_num_threads(1)
    torch.zeros(8).sum()
    before = resident("VmRSS")
    network = build(task).train()
    if task["recompute"]:
        recompute(network)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.99, nesterov=True)
    dtype = DTYPES[task["precision"]]
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            output = network(torch.randn(task["shape"]))
        loss(output.float()).backward()
        optimizer.step()
    return resident("VmHWM") - before


if __name__ == "__main__":
    print(main(json.loads(sys.argv[1])))
