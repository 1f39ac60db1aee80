"""Sums of tiles over rows that come and go, against sums of the whole volume."""

from pathlib import Path

import pytest
import torch

from medmamba.errors import DataError
from medmamba.predict.arrays.sums import Sums
from medmamba.predict.arrays.tiles import Grid, gaussian

PATCH = (4, 6, 6)
CPU = torch.device("cpu")


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 32])
def test_means_are_those_of_the_whole_volume_bit_by_bit(rows: int, on_disk: bool, tmp_path: Path) -> None:
    grid, heads, folds = Grid((11, 8, 9), PATCH, 0.5), 3, 2
    sums = Sums((heads, grid.rows, *grid.padded[1:]), folds, gaussian(PATCH), CPU, tmp_path if on_disk else None)
    whole = [torch.zeros(heads, *grid.padded, dtype=torch.half) for _ in range(folds)]
    counts = torch.zeros(1, *grid.padded, dtype=torch.half)
    random, found, done = torch.Generator().manual_seed(0), [], 0
    for band in grid.bands():
        for fold in range(folds):
            for corner in band.corners:
                output = torch.randn(heads, *PATCH, generator=random)
                where = tuple(slice(start, start + size) for start, size in zip(corner, PATCH, strict=True))
                whole[fold][(slice(None), *where)] += output * gaussian(PATCH)
                if fold == 0:
                    counts[(slice(None), *where)] += gaussian(PATCH)
                sums.weigh(output)
                sums.add(output, PATCH, corner, fold)
        for low, high, mean in sums.means(done, band.final, rows, "the image"):
            assert high - low <= rows
            found.append(mean.clone())
        done = band.final
    expected = whole[0] / counts
    expected += whole[1] / counts
    expected /= 2
    assert torch.equal(torch.cat(found, 1), expected)


def test_what_float16_cannot_hold_is_refused_with_the_case() -> None:
    sums = Sums((1, 4, 6, 6), 1, gaussian(PATCH), CPU)
    output = torch.full((1, *PATCH), 60000.0)
    sums.weigh(output)
    sums.add(output, PATCH, (0, 0, 0), 0)
    with pytest.raises(DataError, match="logits of liver_7 are too large"):
        list(sums.means(0, 4, 32, "liver_7"))
