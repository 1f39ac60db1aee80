"""Whole networks on a GPU and on the CPU with the same weights."""

import pytest

from tests.networks.small import SMALL, build, example


@pytest.mark.gpu
@pytest.mark.parametrize("name", SMALL)
def test_a_gpu_gives_what_the_cpu_gives(name: str) -> None:
    network, x = build(name).eval(), example(name)
    wanted = network(x)
    wanted.square().mean().backward()
    of_cpu = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    network.cuda()
    got = network(x.cuda())
    got.square().mean().backward()
    assert (got.cpu() - wanted).norm() <= 1e-3 * wanted.norm()
    of_gpu = [p.grad.cpu() for p in network.parameters() if p.grad is not None]
    for a, b in zip(of_gpu, of_cpu, strict=True):
        assert (a - b).norm() <= 1e-2 * b.norm() + 1e-5
