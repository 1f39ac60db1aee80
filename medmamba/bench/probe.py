"""How many exponentials a second a GPU takes, in registers. Imported only where Triton and a CUDA device are."""

import time

import torch
import triton
import triton.language as tl

from .timing import timed

_BLOCK, _STEPS, _PROGRAMS_PER_UNIT, _WARPS = 1024, 256, 16, 4


@triton.jit
def _exps(out, STEPS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Each number of a block goes through STEPS exponentials; 2^-x has a fixed point, so that nothing overflows."""
    x = tl.arange(0, BLOCK).to(tl.float32) / BLOCK
    for _ in range(STEPS):
        x = tl.exp2(-x)
    tl.store(out + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), x)


def exp_rate(device: torch.device, seconds: float) -> float:
    """Exponentials a second of the whole GPU; the best of about `seconds` of trying."""
    programs = torch.cuda.get_device_properties(device).multi_processor_count * _PROGRAMS_PER_UNIT
    out = torch.empty(programs * _BLOCK, device=device)

    def once() -> None:
        _exps[(programs,)](out, STEPS=_STEPS, BLOCK=_BLOCK, num_warps=_WARPS)

    once()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until or best == float("inf"):
        best = min(best, timed(once, device)[1])
    return programs * _BLOCK * _STEPS / best
