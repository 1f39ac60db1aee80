"""What a scan must at least do on a GPU: transcendental operations, bytes moved, and the time that both allow.

Counts are per direction and follow the kernels of this package: the time is cut into segments, so the forward takes
every exponential twice, and the backward once to find the segments' ends, 7/8 times to derive the states at every
fourth step again, twice in the main pass. Rates are those of an H200 (132 multiprocessors at 1.98 GHz, 16
transcendental operations per clock each; 4.3 TB/s of memory as copied).
"""

from dataclasses import dataclass

from .plan import INTERVAL, backward_tile

EXP_RATE = 132 * 16 * 1.98e9
MEMORY_RATE = 4.3e12


@dataclass(frozen=True)
class Workload:
    """One layer's scan in one direction, batch of one."""

    name: str
    channels: int
    length: int
    states: int = 16


@dataclass(frozen=True)
class Cost:
    """Least work of one pass."""

    exps: float
    """Exponentials and reciprocals."""
    bytes: float
    """Of memory read and written, every tensor once per kernel."""

    @property
    def seconds(self) -> float:
        """The longer of both at the rates of an H200."""
        return max(self.exps / EXP_RATE, self.bytes / MEMORY_RATE)


WORKLOADS = (
    Workload("SegMamba stage 0, 128^3", 96, 262144),
    Workload("SegMamba stage 1", 192, 32768),
    Workload("SegMamba stage 2", 384, 4096),
    Workload("SegMamba stage 3", 768, 512),
    Workload("U-Mamba Enc stage 0, 40x224x192", 64, 1720320),
    Workload("U-Mamba Enc stage 1", 128, 430080),
    Workload("LightM-UNet first level, 128^3", 64, 2097152),
    Workload("LightM-UNet second level", 128, 262144),
    Workload("MambaMorph stage 0", 192, 109824),
    Workload("Vivim stage 0", 128, 20480),
)


def forward_cost(work: Workload, size: int, training: bool = False) -> Cost:
    """Cost of a forward scan with softplus, gate and skip; `size` is the bytes of an input number (4 or 2)."""
    N, rows = work.states, work.length * work.channels
    exps = rows * ((N + 2) + (N + 4))  # softplus takes 2, the gate 2
    states = work.length * N
    moved = size * ((2 * rows + states) + (4 * rows + 2 * states))
    return Cost(exps, moved + (4 * rows * N / INTERVAL if training else 0))


def backward_cost(work: Workload, size: int) -> Cost:
    """Cost of a backward scan; dB and dC leave the kernels as float32, once per block of channels."""
    N, rows = work.states, work.length * work.channels
    exps = rows * ((N + 4) + 7 / 8 * (N + 2) + (2 * N + 5))
    states = work.length * N
    blocks = -(-work.channels // backward_tile(N).channels)
    partial = 2 * (2 * 4 * blocks * states + size * states)  # written, read, summed, for dB and dC
    moved = size * ((3 * rows + states) + (7 * rows + 2 * states)) + partial + 4 * rows * N / INTERVAL
    return Cost(exps, moved)
