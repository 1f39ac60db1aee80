"""Estimates of a forward's memory beside the peak of a process that runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from medmamba.predict import activations

PROGRAM = """
import ctypes, json, sys, torch
from medmamba import engine
from medmamba.networks import create
from medmamba.predict.activations import forward_bytes
torch.set_num_threads(1)
if sys.argv[2] == "reused":
    engine.reuse_memory()
network = create("umamba-bot", input_channels=1, num_classes=3, features_per_stage=(24, 48, 96)).eval()
run = engine.accelerate(network, torch.float32) if sys.argv[1] == "engine" else network
def kilobytes(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))
tile = torch.randn(1, 1, 64, 64, 64)
with torch.inference_mode():
    run(tile[..., :16, :16, :16])
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
    before = kilobytes("VmRSS")
    run(tile)
peak = (kilobytes("VmHWM") - before) * 1024
print(json.dumps([peak, forward_bytes(network, tile.shape, None, "cpu", sys.argv[1] == "engine")]))
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read from Linux' /proc"
)
@pytest.mark.parametrize(("how", "heap"), [("engine", "reused"), ("torch", "given back")])
def test_the_estimate_holds(how: str, heap: str) -> None:
    # The command line's large pages, which an earlier test may have asked for, change both ends of the comparison.
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", PROGRAM, how, heap]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    peak, estimate = json.loads(done.stdout)
    # Code that is read for the first time counts, too, and how much of it comes along is the system's choice.
    assert 0.4 * estimate < peak < 1.2 * estimate


def test_formats_and_devices() -> None:
    network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.Conv3d(8, 3, 1)).eval()
    shape = (1, 1, 64, 64, 64)
    full = activations.forward_bytes(network, shape, None, "cpu", False)
    assert activations.forward_bytes(network, shape, torch.bfloat16, "cpu", True) < full
    assert activations.forward_bytes(network, shape, torch.float16, "cuda", False) < full
    assert activations.forward_bytes(network, (4, *shape[1:]), None, "cpu", False) > 2 * full
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    assert activations.text(3_210_000_000) == "3.2 GB"
