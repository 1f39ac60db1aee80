"""The model of a training step's memory against what such steps really take."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from medmamba.networks import create
from medmamba.networks.footprint import DTYPES, Footprint, measure
from medmamba.networks.recompute import recompute as recompute_blocks
from tests.networks import training_step
from tests.networks.small import SHAPES, SMALL

Task = dict[str, Any]
LIGHT = {"init_filters": 16, "blocks_down": (1, 1, 1), "blocks_up": (1, 1)}
SEG = {"features": (16, 32, 64, 64), "hidden_size": 64, "depths": (1, 1, 1, 1)}
BOT = {"features_per_stage": (16, 32, 64)}
VIVIM = {
    "features": (32, 64, 128, 256), "depths": (1, 1, 2, 1), "num_attention_heads": (1, 2, 4, 8),
    "decoder_hidden_size": 256,
}  # fmt: skip


def task(name: str, config: Any, shape: tuple[int, ...], precision: str = "fp32", recompute: bool = False) -> Task:
    return {"name": name, "config": config, "shape": list(shape), "precision": precision, "recompute": recompute}


def footprint(t: Task, **options: Any) -> Footprint:
    settings = {"precision": t["precision"], "recompute": t["recompute"], **options}
    return measure(lambda: training_step.build(t), [t["shape"]], training_step.loss, **settings)


def measured(t: Task) -> int:
    """Bytes, in a process of its own, with pages as the training command leaves them."""
    command = [sys.executable, "-m", "tests.networks.training_step", json.dumps(t)]
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    environment["OMP_NUM_THREADS"] = "1"
    return int(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


FAST = [
    task("segmamba", SEG, (2, 1, 48, 48, 48)),
    task("umamba-bot", BOT, (1, 1, 64, 64, 64)),
]
SLOW = [
    task("lightm-unet", LIGHT, (1, 1, 64, 64, 64)),
    task("vivim", VIVIM, (1, 3, 5, 128, 128)),
    task("umamba-enc", {**BOT, "spatial_dims": 2}, (4, 1, 256, 256), "bf16"),
    task("segmamba", SEG, (2, 1, 64, 64, 64), recompute=True),
    task("umamba-bot", {}, (1, 1, 64, 64, 64)),
    task("umamba-bot", {}, (1, 1, 64, 64, 64), "bf16"),
    task("segmamba", {}, (1, 1, 48, 48, 48), "bf16"),
    task("segmamba-v2", {}, (1, 1, 48, 48, 48), recompute=True),
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "t", [*FAST, *(pytest.param(t, marks=pytest.mark.slow) for t in SLOW)], ids=lambda t: t["name"]
)
def test_the_estimate_is_within_a_fifth_of_the_peak_and_hardly_below_it(t: Task) -> None:
    expected, peak = footprint(t).total, measured(t)
    assert 0.9 < expected / peak < 1.2, f"{expected / 1e6:.0f} MB expected, {peak / 1e6:.0f} MB taken"


@pytest.mark.gpu
@pytest.mark.parametrize("t", [*FAST, *SLOW], ids=str)
def test_the_estimate_on_a_gpu(t: Task) -> None:
    expected = footprint(t, device_type="cuda")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.device("cuda"):
        network = training_step.build(t).train().cuda()
        if t["recompute"]:
            recompute_blocks(network)
        optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.99, nesterov=True)
        dtype = DTYPES[t["precision"]]
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
                output = network(torch.randn(t["shape"]))
            training_step.loss(output.float()).backward()
            optimizer.step()
    peak = torch.cuda.max_memory_allocated() - before
    assert 0.85 < (expected.total - expected.overhead) / peak < 1.3


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", SMALL)
def test_every_network_runs_without_numbers(name: str, device: str) -> None:
    t = task(name, SMALL[name], (1, 1, *SHAPES.get(name, (16, 16, 16))))
    step = footprint(t, device_type=device)
    network = create(name, input_channels=1, num_classes=3, **SMALL[name])
    assert step.parameters == sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert min(step.weights, step.activations, step.flops, step.overhead) > 0


def test_activations_and_work_grow_with_the_batch_and_weights_do_not() -> None:
    one, two = (footprint(task("segmamba", SEG, (batch, 1, 64, 64, 64))) for batch in (1, 2))
    assert two.weights == one.weights
    assert two.activations == pytest.approx(2 * one.activations, rel=0.01)
    assert two.flops == pytest.approx(2 * one.flops, rel=0.01)


def test_half_precision_and_recomputing_take_less() -> None:
    t = task("segmamba", SEG, (2, 1, 64, 64, 64))
    full, half, again = footprint(t), footprint(t, precision="bf16"), footprint(t, recompute=True)
    assert half.activations < 0.7 * full.activations
    assert again.activations < 0.3 * full.activations
    assert again.total < 0.7 * full.total
    assert full.flops < again.flops < 1.5 * full.flops


@pytest.mark.parametrize("name", SMALL)
def test_recomputing_in_half_precision_on_a_gpu(name: str) -> None:
    t = task(name, SMALL[name], (1, 1, *SHAPES.get(name, (16, 16, 16))), "bf16", recompute=True)
    assert footprint(t, device_type="cuda").flops > footprint({**t, "recompute": False}, device_type="cuda").flops


def test_adam_keeps_twice_what_momentum_does() -> None:
    t = task("umamba-bot", SMALL["umamba-bot"], (1, 1, 16, 16, 16))
    assert footprint(t, optimizer="adamw").optimizer == 2 * footprint(t, optimizer="sgd").optimizer


def test_the_work_is_that_of_the_layers() -> None:
    """A 1x1x1 convolution on known sizes: 2 operations a weight and voxel, forward, and twice that backward."""
    conv = lambda: torch.nn.Conv3d(8, 16, 1, bias=False)  # noqa: E731
    step = measure(conv, [(1, 8, 10, 10, 10)], lambda output: output.square().mean())
    assert step.flops == 2 * 2 * 8 * 16 * 1000  # no gradient of the input


def test_segmamba_as_published_takes_what_its_authors_report() -> None:
    """Xing et al., table 5: 17 976 MB to train on patches of 128x128x128 (on BraTS with batch 2 in half precision)."""
    t = task("segmamba", {}, (2, 4, 128, 128, 128), "bf16")
    assert footprint(t, device_type="cuda").total == pytest.approx(17976 * 2**20, rel=0.1)
