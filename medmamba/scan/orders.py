"""Scan orders: which position of the sequence is visited at which step, each with its exact inverse.

A sequence has L positions (the voxels of a volume in C order). An order says at which position p step i stands:

- ``forward``: p = i
- ``reverse``: p = L - 1 - i
- ``interslice``: with ``nslices`` chunks of q = L / nslices positions, p = (i % nslices) * q + i // nslices; it goes
  through all slices at one in-slice position, then moves to the next position (SegMamba, arXiv 2401.13560).

All three are one two-level address: with j = i, or L - 1 - i in reverse,
p = (j % slices) * (L // slices) + j // slices; forward and reverse have one slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from ..errors import ConfigError

Direction = Literal["forward", "reverse", "interslice"]
DIRECTIONS: tuple[str, ...] = get_args(Direction)


@dataclass(frozen=True)
class Order:
    """A scan order as an address: `slices` chunks visited in turn, from the last step to the first in `reverse`."""

    slices: int = 1
    reverse: bool = False

    @property
    def code(self) -> int:
        """The order as one number: the slices, negative in reverse."""
        return -self.slices if self.reverse else self.slices

    @classmethod
    def from_code(cls, code: int) -> "Order":
        """The order of that `code`."""
        return cls(abs(code), code < 0)

    def to_steps(self, x: Tensor) -> Tensor:
        """Positions to steps along dimension 1 of `x` (B, L, ...): ``result[:, i] = x[:, p(i)]``."""
        if self.slices > 1:
            x = x.unflatten(1, (self.slices, -1)).transpose(1, 2).flatten(1, 2)
        return x.flip(1) if self.reverse else x

    def to_positions(self, x: Tensor) -> Tensor:
        """Steps back to positions along dimension 1 of `x` (B, L, ...): the exact inverse of `to_steps`."""
        if self.reverse:
            x = x.flip(1)
        return x.unflatten(1, (-1, self.slices)).transpose(1, 2).flatten(1, 2) if self.slices > 1 else x


def order_of(direction: str, nslices: int | None, length: int) -> Order:
    """The order of a direction by name.

    Raises ConfigError unless `direction` is known and, for ``interslice``, `nslices` divides `length`.
    """
    if direction not in DIRECTIONS:
        raise ConfigError(f"Unknown scan direction {direction!r}.", f"Use one of {', '.join(DIRECTIONS)}.")
    if direction != "interslice":
        return Order(reverse=direction == "reverse")
    if nslices is None or nslices < 1:
        raise ConfigError("The interslice direction needs nslices >= 1.", "Pass the number of slices.")
    if length % nslices:
        raise ConfigError(
            f"The interslice order cannot cut a sequence of {length} positions into {nslices} equal slices.",
            "Choose a number of slices that divides the sequence length.",
        )
    return Order(nslices)


def orders_of(directions: Sequence[str], nslices: int | None, length: int) -> tuple[Order, ...]:
    """`order_of` for several directions; ConfigError also for none at all."""
    if not directions:
        raise ConfigError("A scan needs at least one direction.", f"Use one or more of {', '.join(DIRECTIONS)}.")
    return tuple(order_of(direction, nslices, length) for direction in directions)


def to_scan_order(x: Tensor, direction: str = "forward", nslices: int | None = None) -> Tensor:
    """Positions to steps along dimension 1 of `x` (B, L, ...): ``result[:, i] = x[:, p(i)]``."""
    return order_of(direction, nslices, x.shape[1]).to_steps(x)


def from_scan_order(x: Tensor, direction: str = "forward", nslices: int | None = None) -> Tensor:
    """Steps back to positions along dimension 1 of `x` (B, L, ...): the exact inverse of `to_scan_order`."""
    return order_of(direction, nslices, x.shape[1]).to_positions(x)
