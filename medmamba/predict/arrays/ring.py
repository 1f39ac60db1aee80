"""A volume of which only some rows are held: row r of its first axis lies at r modulo the ring's length."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .scratch import empty, let_go


class Ring:
    """Sums in float16, (channels, rows, y, x), that begin at zero.

    Parameters
    ----------
    shape: with the rows that are held at a time.
    device: where they lie.
    scratch: folder of a memory-mapped file that holds them instead.
    """

    def __init__(self, shape: Sequence[int], device: torch.device, scratch: Path | None = None) -> None:
        self._mapped = None if scratch is None else empty(tuple(shape), np.float16, scratch)
        if self._mapped is None:
            self._values = torch.zeros(tuple(shape), dtype=torch.half, device=device)
        else:
            self._values = torch.from_numpy(self._mapped)

    def move(self, device: torch.device) -> None:
        """Take the sums to another device."""
        self._values = self._values.to(device)

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """`start` to `stop`, cut where the ring closes."""
        rows = self._values.shape[1]
        while start < stop:
            end = min(stop, (start // rows + 1) * rows)
            yield start, end
            start = end

    def rows(self, start: int, stop: int) -> Tensor:
        """The rows of one span, as a view (channels, stop - start, y, x)."""
        first = start % self._values.shape[1]
        return self._values[:, first : first + stop - start]

    def add(self, tile: Tensor, corner: Sequence[int]) -> None:
        """Add a tile (channels, depth, height, width), float16 or float32, at `corner`, rounding to float16.

        The bits are those of ``sums[...] += tile``, which torch computes several times more slowly on a CPU where the
        two differ in type.
        """
        row, y, x = corner
        depth, height, width = tile.shape[1:]
        for start, stop in self.spans(row, row + depth):
            part = tile[:, start - row : stop - row]
            sums = self.rows(start, stop)[:, :, y : y + height, x : x + width]
            if sums.dtype == tile.dtype or sums.device.type != "cpu":
                sums += part
                continue
            for here, more in zip(sums, part, strict=True):
                here.copy_(here.float().add_(more))
                self.let_go()
        self.let_go()

    def let_go(self) -> None:
        """Of a mapped file: what was written need not be in memory any more."""
        let_go(self._mapped)
