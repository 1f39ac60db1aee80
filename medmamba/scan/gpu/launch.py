"""The scan's kernels put together: which tensors they get, in which order they run, what is summed at the end."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ..inputs import ScanInputs
from ..orders import Order
from .backward_kernel import scan_segment_backward
from .forward_kernel import scan_segment
from .plan import INTERVAL, backward_tile, forward_tile, kept_shape, order_bits, padded, segments
from .segment_kernel import compose, segment_ends
from .tune import BACKWARD, FORWARD, Tuned

_COMPOSED = 32  # numbers of a state that one program of `compose` carries
_find_ends = Tuned(segment_ends, FORWARD, ["D", "N", "BACKWARD"])
_scan = Tuned(scan_segment, FORWARD, ["D", "N", "KEEP", "LAST"])
_scan_backward = Tuned(scan_segment_backward, BACKWARD, ["D", "N", "LAST"])


def on_device(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches on the current device: make it the tensors' one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def processors(device: torch.device) -> int:
    """Multiprocessors of the device; 1 for the interpreter, which then still cuts the time."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def strides(x: Tensor | None, count: int) -> tuple[int, ...]:
    """The strides of all but the last dimension as (direction,) batch, position; zero for what a tensor lacks."""
    given = () if x is None else x.stride()[:-1]
    return (*((0,) * (count - len(given))), *given)


class Scan:
    """One call: the inputs as the kernels take them, how the work is cut, the constants that all kernels share."""

    def __init__(self, s: ScanInputs, backward: bool) -> None:
        self.s = s = s.with_dense_rows()
        self.directions, self.batch, self.length, self.channels, self.states = s.sizes
        self.A = s.A.to(torch.float32).transpose(1, 2).contiguous()  # (K, N, D)
        self.skip = s.D.to(torch.float32).contiguous() if s.D is not None else self.A
        self.bias = s.delta_bias.to(torch.float32).contiguous() if s.delta_bias is not None else self.A
        self.z = s.u if s.z is None else s.z
        self.orders = order_bits(s.orders)
        self.tile = (backward_tile if backward else forward_tile)(self.states)
        self.blocks = -(-self.channels // self.tile.channels)
        rows = self.batch * self.blocks
        self.steps, self.parts = segments(rows, self.length, processors(s.u.device), backward)

    def new(self, *shape: int) -> Tensor:
        """A float32 tensor on the inputs' device."""
        return torch.empty(shape, dtype=torch.float32, device=self.s.u.device)

    def grid(self, sequences: int) -> Callable[[dict[str, Any]], tuple[int]]:
        """Programs of a kernel with tile D1 * D2: blocks of channels side by side, then segments, then sequences."""
        return lambda args: (-(-self.channels // (args["D1"] * args["D2"])) * self.parts * sequences,)

    def pick(self, kernel: Tuned) -> Any:
        """The form of `kernel` for a launch of this size."""
        return kernel.of(self.batch * self.length * self.channels * self.states)

    def sizes(self) -> tuple[int, ...]:
        """The sizes that every kernel takes."""
        return self.batch, self.length, self.channels, self.steps, self.parts

    def constants(self, orders: tuple[Order, ...], *more: Tensor) -> dict[str, Any]:
        """Compile-time arguments but the tile; `more` are tensors with rows to address besides u, delta, B and C."""
        s = self.s
        reach = max(x.stride(-2) for x in (s.u, s.delta, s.B, s.C, self.z, *more))
        return {
            "N": self.states,
            "SOFTPLUS": s.delta_softplus,
            "HAS_BIAS": s.delta_bias is not None,
            "HAS_Z": s.z is not None,
            "SLICED": any(order.slices > 1 for order in orders),
            "WIDE": self.length * max(reach, self.channels, self.states) >= 2**31,
        }

    def per_lane(self) -> dict[str, int]:
        """The forward tile without its channels per lane, which are measured."""
        return {name: size for name, size in forward_tile(self.states).constants().items() if name != "D1"}

    def starts(self, value: Tensor, rows: Tensor, backward: bool) -> Tensor:
        """The state before every segment (K, batch, segments, N, D), or what flows back into its last step."""
        s, parts, sequences = self.s, self.parts, self.directions * self.batch
        if parts == 1:
            return self.A  # never read
        states = self.new(self.directions, self.batch, parts, self.states, self.channels)
        sums = self.new(self.directions, self.batch, parts, self.channels)
        self.pick(_find_ends)[self.grid(sequences)](
            value, s.delta, self.A, rows, self.z, self.bias, states, sums, *self.orders, *self.sizes(),
            *strides(value, 3), *strides(s.delta, 3), *strides(rows, 3), *strides(s.z, 2),
            BACKWARD=backward, **self.per_lane(), **self.constants(s.orders, value),
        )  # fmt: skip
        compose[(-(-self.states * self.channels // _COMPOSED) * sequences,)](
            states, sums, self.A, self.batch, self.channels, parts,
            N=self.states, BLOCK=_COMPOSED, BACKWARD=backward, num_warps=1,
        )  # fmt: skip
        return states


def forward(s: ScanInputs, keep_states: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(y (B, L, D), last state (K, B, D, N), kept states or an empty tensor)."""
    scan = Scan(s, backward=False)
    s, K = scan.s, scan.directions
    y = s.u.new_empty(s.u.shape[1:])
    total = y if K == 1 or y.dtype == torch.float32 else scan.new(*y.shape)
    last = scan.new(K, scan.batch, scan.states, scan.channels)
    kept = scan.new(*(kept_shape(*s.sizes) if keep_states else (0,)))
    with on_device(s.u.device):
        starts = scan.starts(s.u, s.B, backward=False)
        for k, order in enumerate(s.orders):
            scan.pick(_scan)[scan.grid(scan.batch)](
                s.u, s.delta, scan.A, s.B, s.C, scan.skip, scan.z, scan.bias, starts, kept, total, y, last,
                *scan.orders, k, *scan.sizes(),
                *strides(s.u, 3), *strides(s.delta, 3), *strides(s.B, 3), *strides(s.C, 3), *strides(s.z, 2),
                INTERVAL=INTERVAL, HAS_SKIP=s.D is not None, HAS_START=scan.parts > 1, KEEP=keep_states,
                FIRST=k == 0, LAST=k == K - 1, **scan.per_lane(), **scan.constants((order,)),
            )  # fmt: skip
    return y, last.transpose(2, 3).contiguous(), kept


class _Gradients:
    """Where the backward writes: outputs, and what is still to be summed over blocks of channels or over segments."""

    def __init__(self, scan: Scan) -> None:
        s, per_part = scan.s, (scan.directions, scan.batch, scan.parts)
        self.du, self.ddelta = s.u.new_empty(s.u.shape), s.delta.new_empty(s.delta.shape)
        self.dz = scan.A if s.z is None else s.z.new_empty(s.z.shape)
        self.dB, self.dC = scan.new(scan.blocks, *s.B.shape), scan.new(scan.blocks, *s.C.shape)
        self.dA = scan.new(*per_part, scan.states, scan.channels)
        self.dskip, self.dbias = scan.new(*per_part, scan.channels), scan.new(*per_part, scan.channels)

    def targets(self) -> tuple[Tensor, ...]:
        """In the order of the kernel's arguments."""
        return self.du, self.ddelta, self.dz, self.dA, self.dB, self.dC, self.dskip, self.dbias

    def summed(self, s: ScanInputs) -> tuple[Tensor | None, ...]:
        """The gradients of (u, delta, A, B, C, D, z, delta_bias)."""
        return (
            self.du,
            self.ddelta,
            self.dA.sum((1, 2)).transpose(1, 2).to(s.A.dtype).contiguous(),
            self.dB.sum(0).to(s.B.dtype),
            self.dC.sum(0).to(s.C.dtype),
            None if s.D is None else self.dskip.sum((1, 2)).to(s.D.dtype),
            None if s.z is None else self.dz,
            None if s.delta_bias is None else self.dbias.sum((1, 2)).to(s.delta_bias.dtype),
        )


def backward(s: ScanInputs, kept: Tensor, dy: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of (u, delta, A, B, C, D, z, delta_bias), None for what is None."""
    scan = Scan(s, backward=True)
    s, K = scan.s, scan.directions
    dy = dy if dy.stride(-1) == 1 else dy.contiguous()
    total = scan.new(*dy.shape) if K > 1 and s.z is not None else scan.A
    scratch = scan.new(scan.parts * scan.blocks * scan.batch, INTERVAL // 4, padded(scan.states) * scan.tile.channels)
    gradients = _Gradients(scan)
    with on_device(s.u.device):
        into = scan.starts(dy, s.C, backward=True)
        for k, order in enumerate(s.orders):
            scan.pick(_scan_backward)[scan.grid(scan.batch)](
                s.u, s.delta, scan.A, s.B, s.C, scan.skip, scan.z, scan.bias, dy, kept, into, scratch, total,
                *scan.orders, *gradients.targets(), k, *scan.sizes(), K,
                *strides(s.u, 3), *strides(s.delta, 3), *strides(s.B, 3), *strides(s.C, 3), *strides(s.z, 2),
                *strides(dy, 2),
                INTERVAL=INTERVAL, HAS_SKIP=s.D is not None, HAS_INTO=scan.parts > 1,
                FIRST=k == 0, LAST=k == K - 1, **scan.tile.constants(), **scan.constants((order,), dy),
            )  # fmt: skip
    return gradients.summed(s)
