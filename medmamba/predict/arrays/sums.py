"""Weighted logits of tiles, added up for every fold, and the mean over folds of the rows that are final."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...errors import DataError
from .ring import Ring
from .tiles import Corner


class Sums:
    """A ring of rows for each fold, and one for the weights.

    Parameters
    ----------
    shape: (heads, rows that are held, y, x).
    folds: how many are averaged.
    weights: of a tile's voxels (*patch), float16.
    device: where all of it lies.
    scratch: folder of memory-mapped files for the folds' rings; None: in memory.
    """

    def __init__(
        self, shape: Sequence[int], folds: int, weights: Tensor, device: torch.device, scratch: Path | None = None
    ) -> None:
        self._folds = [Ring(shape, device, scratch) for _ in range(folds)]
        self._counts = Ring((1, *shape[1:]), device)
        self.weights = weights.to(device)

    def move(self, device: torch.device) -> None:
        """Take everything to another device."""
        for ring in (*self._folds, self._counts):
            ring.move(device)
        self.weights = self.weights.to(device)

    @torch.inference_mode()
    def weigh(self, output: Tensor) -> None:
        """Multiply a tile's logits (heads, *patch) by its weights, in place."""
        output *= self.weights

    @torch.inference_mode()
    def add(self, weighted: Tensor, tile: Sequence[int], corner: Corner, fold: int) -> None:
        """Add weighted logits (heads, *patch) of a tile that measures `tile` (z, y, x)."""
        self._folds[fold].add(weighted.view(len(weighted), *tile), corner)
        if fold == 0:
            self._counts.add(self.weights.view(1, *tile), corner)

    def means(self, first: int, last: int, rows: int, case: str) -> Iterator[tuple[int, int, Tensor]]:
        """(start, stop, mean logits) of rows `first` to `last`, `rows` at a time at most; then they are zero again.

        A mean is a view of memory that is used again. Raises DataError, naming the case, where float16 was not enough.
        """
        for start, stop in self._counts.spans(first, last):
            for low in range(start, stop, rows):
                high = min(stop, low + rows)
                yield low, high, self._mean(low, high, case)
                for ring in (*self._folds, self._counts):
                    ring.rows(low, high).zero_()
                    ring.let_go()

    def _mean(self, start: int, stop: int, case: str) -> Tensor:
        """Over folds, as nnU-Net adds and divides in float16; it takes the place of the first fold's sums."""
        weights = self._counts.rows(start, stop)
        folds = [ring.rows(start, stop) for ring in self._folds]
        for sums in folds:
            torch.div(sums, weights, out=sums)
            extremes = torch.stack([torch.stack(torch.aminmax(head)) for head in sums])
            if not bool(extremes.isfinite().all()):
                raise DataError(
                    f"The logits of {case} are too large for float16, in which tiles are added up.",
                    "Such a network is not trained well: its outputs should lie far below 6,000.",
                )
        for other in folds[1:]:
            folds[0] += other
        if len(folds) > 1:
            folds[0] /= len(folds)
        return folds[0]
