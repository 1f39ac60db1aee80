"""The custom operator: torch's own checks for every pattern of optional arguments."""

import itertools

import pytest
import torch

from medmamba.scan import selective_scan
from medmamba.scan.op import scan_op


def arguments(skip, gate, bias, dtype=torch.float64, channels=3, states=2, length=70):
    g = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype).requires_grad_()

    A = -torch.rand(channels, states, generator=g, dtype=torch.float64)
    return (
        draw(2, length, channels),
        draw(2, length, channels),
        A.to(dtype).requires_grad_(),
        draw(2, length, states),
        draw(2, length, states),
        draw(channels) if skip else None,
        draw(2, length, channels) if gate else None,
        draw(channels) if bias else None,
    )


@pytest.mark.parametrize(("skip", "gate", "bias"), list(itertools.product([False, True], repeat=3)))
def test_opcheck(skip, gate, bias):
    args = arguments(skip, gate, bias, length=5)
    stacked = [x if x is None or i == 6 else x[None].detach().requires_grad_() for i, x in enumerate(args)]
    torch.library.opcheck(scan_op, (*stacked, True, [1], "chunked", True))


def test_gradcheck_with_several_lanes():
    args = arguments(True, True, True, length=70, channels=1, states=1)
    assert torch.autograd.gradcheck(
        lambda *a: selective_scan(*a, delta_softplus=True, direction="reverse"), args, fast_mode=True
    )


def test_full_graph_compile():
    args = arguments(True, True, True, torch.float32)
    compiled = torch.compile(lambda *a: selective_scan(*a, delta_softplus=True), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*args), selective_scan(*args, delta_softplus=True))
