"""What only a real GPU shows: recorded graphs, streams and devices, 64-bit addresses, the first, measured call."""

from dataclasses import replace

import pytest
import torch

from medmamba.blocks.mixers import MambaMixer
from medmamba.scan import triton
from medmamba.scan.orders import Order
from tests.scan.gpu.test_launch import THREE, draw

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


def everything(s, dy):
    """Output, last state and the gradients."""
    y, last, kept = triton.forward(s, keep_states=True)
    return [x for x in (y, last, *triton.backward(s, kept, dy)) if x is not None]


def same(found, wanted):
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_call_that_measures_gives_what_later_ones_give(dtype, monkeypatch):
    from triton.testing import do_bench

    from medmamba.scan.gpu import launch, tune

    def bench(call, quantiles):
        return do_bench(call, quantiles=quantiles)

    for name, kernel, configs, key in (
        ("_find_ends", launch.segment_ends, tune.FORWARD, ["D", "BACKWARD"]),
        ("_scan", launch.scan_segment, tune.FORWARD, ["D", "LAST"]),
        ("_scan_backward", launch.scan_segment_backward, tune.BACKWARD, ["D", "LAST"]),
    ):
        monkeypatch.setattr(launch, name, tune.Tuned(kernel, configs, key, bench))  # nothing known, nothing on disk
    s, dy = draw((1, 4096, 64, 16), THREE, CUDA, dtype)
    first = everything(s, dy)
    assert len(launch._scan.fastest.cache) == 2
    assert same(everything(s, dy), first)


def test_a_recorded_graph_repeats_the_call():
    s, dy = draw((1, 260, 40, 16), THREE, CUDA)
    wanted = [x.clone() for x in everything(s, dy)]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = everything(s, dy)
    s.u.mul_(2)
    graph.replay()
    assert not torch.equal(found[0], wanted[0])
    s.u.div_(2)
    graph.replay()
    assert same(found, wanted)


def test_compiled_layers_may_be_recorded():
    """Nothing that a call allocates stays behind: torch refuses to record such a call."""
    torch.manual_seed(0)
    mixer = MambaMixer(12, directions=("forward", "reverse", "interslice")).cuda()
    compiled = torch.compile(mixer, mode="reduce-overhead", fullgraph=True)
    for number in range(4):  # compiles, warms up, records, replays
        x = torch.randn(1, 64, 12, device=CUDA, generator=torch.Generator(CUDA).manual_seed(number))
        with torch.no_grad():
            torch.testing.assert_close(compiled(x, 4).clone(), mixer(x, 4), rtol=1e-4, atol=1e-5)


def test_kernels_run_on_the_current_stream():
    s, dy = draw((1, 3000, 64, 16), THREE, CUDA)
    wanted = everything(s, dy)
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(100_000_000)
        s.u.mul_(1)  # a kernel on another stream would not wait for this
        u = s.u.clone()
        s.u.zero_()
        s.u.copy_(u)
        found = everything(s, dy)
    side.synchronize()
    assert same(found, wanted)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_tensors_of_another_device_than_the_current_one():
    found = everything(*draw((1, 260, 40, 16), THREE, torch.device("cuda:1")))
    assert torch.cuda.current_device() == 0
    assert same(found, everything(*draw((1, 260, 40, 16), THREE, CUDA)))


def test_rows_beyond_the_reach_of_32_bits():
    s, dy = draw((1, 2**16, 8, 4), (Order(), Order(2, True)), CUDA, torch.bfloat16)
    wanted = everything(s, dy)
    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("too little memory")
    apart = torch.empty(2**16, 2**15 + 16, dtype=torch.bfloat16, device=CUDA)[None, :, :8]
    apart.copy_(s.z)
    for found, want in zip(everything(replace(s, z=apart), dy), wanted, strict=True):
        torch.testing.assert_close(found, want)


def test_more_sequences_than_the_second_axis_of_a_grid_holds():
    s = draw((70_000, 3, 2, 2), (Order(),), CUDA)[0]
    y = triton.forward(s, keep_states=False)[0]
    few = replace(s, **{name: getattr(s, name)[:, -5:] for name in ("u", "delta", "B", "C")}, z=s.z[-5:])
    assert torch.equal(y[-5:], triton.forward(few, keep_states=False)[0])
