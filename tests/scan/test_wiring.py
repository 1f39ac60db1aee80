"""The scan inside torch's own machinery: torch.compile, autocast, distributed training, and a GPU beside the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medmamba.blocks.mixers import MambaMixer
from medmamba.scan import choose, directional_scan

THREE = ("forward", "reverse", "interslice")


def layer() -> MambaMixer:
    torch.manual_seed(0)
    return MambaMixer(12, directions=THREE)


def gradients(call, mixer: MambaMixer, x: torch.Tensor) -> list[torch.Tensor]:
    mixer.zero_grad()
    call(x, 4).square().sum().backward()
    return [p.grad.clone() for p in mixer.parameters()]


def test_three_directions_compile_to_one_graph_with_gradients():
    mixer, x = layer(), torch.randn(2, 20, 12)
    compiled = torch.compile(mixer, fullgraph=True, backend="aot_eager")
    for got, wanted in zip(gradients(compiled, mixer, x), gradients(mixer, mixer, x), strict=True):
        torch.testing.assert_close(got, wanted)


def test_autocast_keeps_parameters_wide_and_the_result_half():
    mixer, x = layer(), torch.randn(2, 20, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = mixer(x, 4)
    half.float().sum().backward()
    assert half.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in mixer.parameters())
    wanted = mixer(x, 4)
    assert (half.float() - wanted).norm() < 2e-2 * wanted.norm()


def test_mixed_types_follow_u():
    """Under autocast u may be wide and the projections half: nothing reads one as the other."""
    u, z = torch.randn(1, 1, 9, 5), torch.randn(1, 9, 5).bfloat16()
    delta, B, C = (torch.randn(1, 1, 9, n).bfloat16() for n in (5, 3, 3))
    A = -torch.rand(1, 5, 3)
    y = directional_scan(u, delta, A, B, C, z=z)
    wanted = directional_scan(u, delta.float(), A, B.float(), C.float(), z=z.float())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, wanted)


_WORKER = """
import sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.scan.test_wiring import layer
rank, meeting = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=2)
torch.manual_seed(rank + 1)
x = torch.randn(2, 20, 12)
mixer = DistributedDataParallel(layer())
mixer(x, 4).square().sum().backward()
own = layer()
own(x, 4).square().sum().backward()
for both, p in zip(mixer.parameters(), own.parameters()):
    dist.all_reduce(p.grad)
    torch.testing.assert_close(both.grad, p.grad / 2)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch is built without gloo")
def test_two_processes_average_their_gradients(tmp_path):
    root = Path(__file__).parents[2]
    variables = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    if sys.platform == "linux":
        variables["GLOO_SOCKET_IFNAME"] = "lo"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(rank), str(tmp_path / "meeting")],
            cwd=root, env=variables, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        errors = [process.communicate(timeout=120)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], errors


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gives_what_the_cpu_gives(dtype):
    mixer, x = layer(), torch.randn(2, 400, 12)
    wanted = gradients(mixer, mixer, x)
    on_gpu = layer().cuda()
    with torch.autocast("cuda", dtype=dtype, enabled=dtype != torch.float32):
        got = gradients(on_gpu, on_gpu, x.cuda())
    assert choose(torch.device("cuda"), dtype).name == "triton"
    for a, b in zip(got, wanted, strict=True):
        assert (a.cpu() - b).norm() <= (1e-4 if dtype == torch.float32 else 5e-2) * b.norm()
