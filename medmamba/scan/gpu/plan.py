"""How the work of a scan is cut for a GPU: tiles of states and channels, segments of time. Plain arithmetic.

Everything that changes a result depends on the shapes and the device alone, never on a measurement, so that gradients
agree to the bit from run to run.
"""

from dataclasses import dataclass

from ...errors import ConfigError
from ..orders import Order

INTERVAL = 32  # steps between two kept states: B L D N / 32 numbers are stored for the backward
_FORWARD_PROGRAMS = 12  # warps of that many registers that one multiprocessor holds
_BACKWARD_PROGRAMS = 8


@dataclass(frozen=True)
class Tile:
    """States x channels of one warp: (n1, d1) in the registers of a lane, n2 * d2 = 32 lanes (see `common`)."""

    n1: int
    d1: int
    n2: int
    d2: int

    @property
    def channels(self) -> int:
        """Channels of one program."""
        return self.d1 * self.d2

    def constants(self) -> dict[str, int]:
        """The tile as arguments of a kernel."""
        return {"N1": self.n1, "D1": self.d1, "N2": self.n2, "D2": self.d2}


def padded(states: int) -> int:
    """The power of two from `states` on: Triton's tiles have no other sizes."""
    return 1 << (states - 1).bit_length()


def forward_tile(states: int) -> Tile:
    """A lane owns all states of a channel, up to 32: sums over states stay in a lane. How many channels is measured."""
    n = padded(states)
    shared = max(1, n // 32)
    return Tile(n // shared, 1, shared, 32 // shared)


def backward_tile(states: int) -> Tile:
    """Four lanes share the states of a channel and eight lanes hold channels, 16 numbers a lane, for N = 16."""
    n = padded(states)
    shared = min(4, n) if n <= 64 else n // 16
    lanes = 32 // shared
    in_lane = n // shared
    return Tile(in_lane, min(shared, max(1, 16 // in_lane)), shared, lanes)


def segments(rows: int, length: int, processors: int, backward: bool) -> tuple[int, int]:
    """(steps per segment, segments): enough segments of whole intervals to fill the device once.

    `rows` is batch * blocks of channels: what runs side by side without cutting the time. When that alone fills half
    the device, time is not cut and the passes that find the starts of the segments fall away.
    """
    wanted = processors * (_BACKWARD_PROGRAMS if backward else _FORWARD_PROGRAMS)
    count = 1 if 2 * rows >= wanted else -(-wanted // rows)
    steps = -(-length // count)
    steps = -(-steps // INTERVAL) * INTERVAL
    return steps, -(-length // steps)


def order_bits(orders: tuple[Order, ...]) -> tuple[int, int, int]:
    """(slices, directions cut into so many slices, directions in reverse); the last two hold one bit a direction.

    Plain numbers travel with a launch. A table on the device would be copied there at every call, or be kept between
    calls, and memory that stays behind is what the recording of a CUDA graph does not allow.

    Raises ConfigError for different numbers of slices in one call and for more than 31 directions.
    """
    slices = {order.slices for order in orders} - {1}
    if len(slices) > 1 or len(orders) > 31:
        raise ConfigError(
            f"The GPU kernels scan up to 31 directions in one number of slices, not {len(orders)} in {sorted(slices)}.",
            "Call them one after the other.",
        )
    sliced = sum(1 << k for k, order in enumerate(orders) if order.slices > 1)
    return max(slices, default=1), sliced, sum(1 << k for k, order in enumerate(orders) if order.reverse)


def kept_shape(directions: int, batch: int, length: int, channels: int, states: int) -> tuple[int, ...]:
    """Shape (K, batch, blocks, N, D) of the states that the forward keeps for the backward: one per INTERVAL steps."""
    return directions, batch, -(-length // INTERVAL), states, channels
