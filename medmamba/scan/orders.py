"""Scan orders: which position of the sequence is visited at which step, each with its exact inverse.

A sequence has L positions (the voxels of a volume in C order). An order says at which position p step i stands:

- ``forward``: p = i
- ``reverse``: p = L - 1 - i
- ``interslice``: with ``nslices`` chunks of q = L / nslices positions, p = (i % nslices) * q + i // nslices; it goes
  through all slices at one in-slice position, then moves to the next position (SegMamba, arXiv 2401.13560).
"""

from typing import Literal, get_args

from torch import Tensor

from ..errors import ConfigError

Direction = Literal["forward", "reverse", "interslice"]
DIRECTIONS: tuple[str, ...] = get_args(Direction)


def check_order(direction: str, nslices: int | None, length: int) -> None:
    """Raise ConfigError unless `direction` is known and, for ``interslice``, `nslices` divides `length`."""
    if direction not in DIRECTIONS:
        raise ConfigError(f"Unknown scan direction {direction!r}.", f"Use one of {', '.join(DIRECTIONS)}.")
    if direction != "interslice":
        return
    if nslices is None or nslices < 1:
        raise ConfigError("The interslice direction needs nslices >= 1.", "Pass the number of slices.")
    if length % nslices:
        raise ConfigError(
            f"The interslice order cannot cut a sequence of {length} positions into {nslices} equal slices.",
            "Choose a number of slices that divides the sequence length.",
        )


def to_scan_order(x: Tensor, direction: str = "forward", nslices: int | None = None) -> Tensor:
    """Positions to steps along dimension 1 of `x` (B, L, ...): ``result[:, i] = x[:, p(i)]``."""
    check_order(direction, nslices, x.shape[1])
    if direction == "reverse":
        return x.flip(1)
    if direction == "interslice" and nslices is not None:
        return x.unflatten(1, (nslices, -1)).transpose(1, 2).flatten(1, 2)
    return x


def from_scan_order(x: Tensor, direction: str = "forward", nslices: int | None = None) -> Tensor:
    """Steps back to positions along dimension 1 of `x` (B, L, ...): the exact inverse of `to_scan_order`."""
    check_order(direction, nslices, x.shape[1])
    if direction == "reverse":
        return x.flip(1)
    if direction == "interslice" and nslices is not None:
        return x.unflatten(1, (-1, nslices)).transpose(1, 2).flatten(1, 2)
    return x
