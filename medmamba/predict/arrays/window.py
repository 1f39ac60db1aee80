"""nnU-Net's sliding window in the memory of one row of tiles: logits go on as soon as no later tile changes them.

nnU-Net adds up the whole volume for every fold in turn. Its first axis is outermost, so the same additions, in the same
order and number format, can go into a ring of as many rows as a tile is high. Every bit of the result is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import DataError, SetupError
from ..recipe import Recipe
from .export import Slab
from .scratch import let_go
from .sums import Sums
from .tiles import Corner, Grid, gaussian

T = TypeVar("T")
OnTile = Callable[[int, int], None]
"""Called with (tiles done, tiles in all) after each tile; of several folds each counts."""


class Network(Protocol):
    """What the window asks of the network's runner."""

    @property
    def device(self) -> torch.device:
        """Where it takes its tiles."""
        ...

    @property
    def folds(self) -> int:
        """How many sets of weights there are."""
        ...

    def __call__(self, tiles: Tensor, fold: int) -> Tensor:
        """(B, C, *patch) -> logits (B, heads, *patch) of one fold, which the caller may overwrite."""
        ...

    def smaller(self) -> bool:
        """Take less memory from now on, with the same result; False where there is no way to."""
        ...


@dataclass
class WindowMemory:
    """What lies where. The window changes it when a GPU's memory does not suffice."""

    on_device: bool = True
    """Whether the sums lie on the network's device; else in host memory."""
    data_on_device: bool = True
    """Whether the whole image lies there; else each tile is sent on its own."""
    batch: int = 1
    """Tiles that the network takes at once."""
    scratch: Path | None = None
    """Folder for sums in memory-mapped files; None: in memory."""
    keep_uniform: bool = True
    """Whether the output for a tile of one value is kept for the next such tile."""
    rows: int = 32
    """Rows of a slab at most."""


@dataclass
class Tally:
    """What the window did: network calls are tiles less those that were the same as one before."""

    tiles: int = 0
    uniform: int = 0
    """Tiles of one value whose output was known already."""
    fallbacks: tuple[str, ...] = ()
    """What was given up for lack of GPU memory, in words."""


def slabs(
    data: NDArray[Any] | Tensor,
    runner: Network,
    recipe: Recipe,
    step_size: float = 0.5,
    memory: WindowMemory | None = None,
    on_tile: OnTile | None = None,
    tally: Tally | None = None,
    case: str = "the image",
) -> Iterator[Slab]:
    """The mean logits of all folds, rows of the first axis in order, equal to nnU-Net's bit by bit.

    Parameters
    ----------
    data: preprocessed image (C, *size) float32, with the one-hot channels of a cascade.
    step_size: distance of neighbouring tiles in patches, in (0, 1].
    on_tile: may raise, which ends the work.
    tally: filled with what was done.
    case: named in errors.

    A slab is a view of memory that is used again: take what you need of it before you ask for the next one.
    Raises DataError when the network's output, or a sum of it in float16, is not finite, and SetupError when a single
    tile is too much for the GPU.
    """
    return _Window(data, runner, recipe, step_size, memory or WindowMemory(), on_tile, tally or Tally(), case).run()


class _Window:
    """One pass over one image."""

    def __init__(
        self,
        source: NDArray[Any] | Tensor,
        runner: Network,
        recipe: Recipe,
        step_size: float,
        memory: WindowMemory,
        on_tile: OnTile | None,
        tally: Tally,
        case: str,
    ) -> None:
        self.source, self.runner, self.memory, self.tally, self.case = source, runner, memory, tally, case
        self.image = source if isinstance(source, Tensor) else torch.from_numpy(source)
        self.on_tile = on_tile or (lambda done, total: None)
        depth, height, width = self.image.shape[1:]
        self.grid = Grid((depth, height, width), recipe.patch_size, step_size)
        self.heads, self.patch = recipe.heads, tuple(recipe.patch_size)
        self._known: dict[int, tuple[Tensor, Tensor]] = {}  # fold -> (values of a uniform tile, its weighted output)
        self._sums: Sums | None = None
        self._done = 0

    def run(self) -> Iterator[Slab]:
        sums = self._sums = self._within_memory(self._allocated)
        emitted = 0
        for band in self.grid.bands():
            for fold in range(self.runner.folds):
                at_once = self.memory.batch  # it may become smaller in between
                for first in range(0, len(band.corners), at_once):
                    self._tiles(sums, band.corners[first : first + at_once], fold)
            let_go(self.source)
            yield from self._final(sums, emitted, band.final)
            emitted = band.final

    def _allocated(self) -> Sums:
        home, grid, memory = self.runner.device, self.grid, self.memory
        place = home if memory.on_device else torch.device("cpu")
        if memory.data_on_device:
            self.image = self.image.to(home)
        shape = (self.heads, grid.rows, *grid.padded[1:])
        scratch = memory.scratch if place.type == "cpu" else None
        return Sums(shape, self.runner.folds, gaussian(self.patch), place, scratch)

    def _tiles(self, sums: Sums, corners: Sequence[Corner], fold: int) -> None:
        """Run tiles, or remember what they give, and add them up."""
        tiles = [self.grid.cut(self.image, corner) for corner in corners]
        known = self._known.get(fold)
        outputs = {index: known[1] for index, tile in enumerate(tiles) if known and _is_uniform(tile, known[0])}
        self.tally.uniform += len(outputs)
        unknown = [index for index in range(len(tiles)) if index not in outputs]
        if unknown:
            done = self._within_memory(lambda: self._run(sums, [tiles[index] for index in unknown], fold))
            outputs.update(zip(unknown, done, strict=True))
        for index, (tile, corner) in enumerate(zip(tiles, corners, strict=True)):
            if index in unknown:
                self._check(outputs[index], corner)
                sums.weigh(outputs[index])
                self._keep(tile, fold, outputs[index])
            sums.add(outputs[index], self.grid.tile, corner, fold)
            self.tally.tiles += 1
            self._done += 1
            self.on_tile(self._done, self.grid.tiles * self.runner.folds)

    @torch.inference_mode()
    def _run(self, sums: Sums, tiles: list[Tensor], fold: int) -> list[Tensor]:
        """Tiles -> logits (heads, *tile) of each, where the sums lie."""
        outputs: list[Tensor] = []
        for first in range(0, len(tiles), self.memory.batch):
            batch = torch.stack(tiles[first : first + self.memory.batch])
            outputs.extend(self.runner(batch.to(self.runner.device), fold).to(sums.weights.device))
        return outputs

    @torch.inference_mode()
    def _check(self, output: Tensor, corner: Corner) -> None:
        """A sum that is finite has finite terms, and takes no memory."""
        if not bool(output.sum(dtype=torch.float32).isfinite()) and not bool(output.isfinite().all()):
            where = ", ".join(str(start - inside.start) for start, inside in zip(corner, self.grid.inside, strict=True))
            raise DataError(
                f"The network's output for {self.case} is not finite in the tile that begins at voxel ({where}).",
                "Use --precision fp32; if that gives the same, the weights or the image are damaged.",
            )

    def _keep(self, tile: Tensor, fold: int, output: Tensor) -> None:
        values = tile.flatten(1)[:, 0]
        if self.memory.keep_uniform and _is_uniform(tile, values):
            self._known[fold] = values.clone(), output

    def _final(self, sums: Sums, first: int, last: int) -> Iterator[Slab]:
        """Rows `first` to `last` of the padded image, divided by their weights, without the padding."""
        depth, height, width = self.grid.inside
        for low, high, mean in sums.means(first, last, self.memory.rows, self.case):
            top, bottom = max(low, depth.start), min(high, depth.stop)
            if top < bottom:
                yield Slab(top - depth.start, bottom - depth.start, mean[:, top - low : bottom - low, height, width])

    def _within_memory(self, work: Callable[[], T]) -> T:
        """What `work` returns, tried again with less on the GPU for as long as that runs out of memory."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                problem = str(error)
            self._step_down(problem)  # here, where the error no longer holds the tensors of its frames

    def _step_down(self, problem: str) -> None:
        memory = self.memory
        if memory.batch > 1:
            memory.batch, done = 1, "one tile at a time"
        elif self.runner.smaller():
            done = "one mirrored copy at a time"
        elif memory.on_device:
            memory.on_device, done = False, "sums in host memory"
            if self._sums is not None:
                self._sums.move(torch.device("cpu"))
        elif memory.data_on_device:
            memory.data_on_device, done = False, "image in host memory"
            self.image = self.image.cpu()
        else:
            raise SetupError(
                f"One tile of {self.case} does not fit on {self.runner.device}: {problem.splitlines()[0]}.",
                "Use --device cpu, or end what else runs on the GPU.",
            )
        self._known.clear()
        self.tally.fallbacks += (done,)
        if self.runner.device.type == "cuda":
            torch.cuda.empty_cache()


def _is_uniform(tile: Tensor, values: Tensor) -> bool:
    """Whether each channel of a tile (C, *size) is the one value (C,) everywhere, bit by bit."""
    bits, wanted = tile.view(torch.int32), values.view(torch.int32)
    ends = bits[(slice(None), *(slice(None, None, max(1, length - 1)) for length in tile.shape[1:]))]
    return all(bool((part == wanted.view(-1, *[1] * (part.ndim - 1))).all()) for part in (ends, bits))
