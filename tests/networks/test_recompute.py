from pathlib import Path
from typing import Any

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet  # type: ignore[import-untyped]
from torch import Tensor, nn

from medmamba.networks import create
from medmamba.networks.recompute import recompute
from tests.networks.small import SHAPES, SMALL

MORPH = {"embed_dim": 12, "reg_head_chan": 4, "stages": 2}
NETWORKS: dict[str, dict[str, Any]] = {**SMALL, "mambamorph": MORPH}


def size_of(name: str) -> tuple[int, ...]:
    return SHAPES.get(name, (16, 16, 16))


def build(name: str, **more: Any) -> nn.Module:
    torch.manual_seed(0)
    classes = None if name == "mambamorph" else 2
    return create(name, input_channels=1, num_classes=classes, **NETWORKS[name] | more).train()


def step(network: nn.Module, size: tuple[int, ...], half: bool = False) -> tuple[Tensor, list[Tensor]]:
    """The first output and all gradients of a training step, with random numbers from one seed."""
    torch.manual_seed(1)
    x = torch.randn(2, 1, *size)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        output = network(x, x.flip(2)) if type(network).__name__ == "MambaMorph" else network(x)
    first = output[0] if isinstance(output, list | tuple) else output
    first.float().square().mean().backward()
    return first, [p.grad for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_changes_to_the_bit(name: str, half: bool) -> None:
    plain, again = build(name), build(name)
    keys = list(again.state_dict())
    assert recompute(again) > 3
    assert list(again.state_dict()) == keys
    first, gradients = step(plain, size_of(name), half)
    second, recomputed = step(again, size_of(name), half)
    assert torch.equal(first, second)
    assert len(gradients) == len(recomputed) > 10
    assert all(torch.equal(a, b) for a, b in zip(gradients, recomputed, strict=True))


@pytest.mark.parametrize(("name", "more"), [("segmamba", {"stochastic_shuffle": 0.9}), ("vivim", {"drop_path": 0.5})])
def test_random_numbers_are_the_same_the_second_time(name: str, more: dict[str, Any]) -> None:
    plain, again = build(name, **more), build(name, **more)
    recompute(again)
    size = size_of(name)
    assert all(torch.equal(a, b) for a, b in zip(step(plain, size)[1], step(again, size)[1], strict=True))


def test_less_is_kept_for_the_backward() -> None:
    def kept(network: nn.Module) -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            _output = network(torch.randn(1, 1, 32, 32, 32))
        return sum(sizes.values())

    plain, again = build("segmamba"), build("segmamba")
    recompute(again)
    assert kept(again) < 0.5 * kept(plain)


def test_prediction_keeps_nothing_and_runs_once() -> None:
    network, calls = build("segmamba"), []
    network.encoder1.layer.register_forward_hook(lambda *_: calls.append(1))
    recompute(network)
    with torch.no_grad():
        assert not network.eval()(torch.randn(1, 1, 32, 32, 32)).requires_grad
    assert len(calls) == 1


def test_nnunets_own_network() -> None:
    def unet() -> nn.Module:
        torch.manual_seed(0)
        return PlainConvUNet(
            1, 3, (4, 8, 8), nn.Conv3d, 3, (1, 2, 2), 2, 2, 2, norm_op=nn.InstanceNorm3d, nonlin=nn.LeakyReLU
        )

    plain, again = unet(), unet()
    assert recompute(again) == 5
    size = (16, 16, 16)
    assert all(torch.equal(a, b) for a, b in zip(step(plain, size)[1], step(again, size)[1], strict=True))


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")  # with or without recomputing
def test_under_ddp(tmp_path: Path) -> None:
    plain, again = build("segmamba"), build("segmamba")
    recompute(again)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        gradients = step(nn.parallel.DistributedDataParallel(again), size_of("segmamba"))[1]
    finally:
        torch.distributed.destroy_process_group()
    assert all(torch.equal(a, b) for a, b in zip(step(plain, size_of("segmamba"))[1], gradients, strict=True))
