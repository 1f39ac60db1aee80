"""The rolling window against nnU-Net's own, bit by bit."""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor, nn

from medmamba.errors import DataError, SetupError
from medmamba.predict.arrays.window import Slab, Tally, WindowMemory, slabs

CPU = torch.device("cpu")


class Torch:
    """A runner in plain torch: nnU-Net's mirroring, a network a fold."""

    device = CPU

    def __init__(self, networks: Sequence[nn.Module], axes: Sequence[int] = ()) -> None:
        self.networks, self.axes, self.folds = networks, axes, len(networks)
        self.calls = 0

    def __call__(self, tiles: Tensor, fold: int) -> Tensor:
        self.calls += 1
        network, axes = self.networks[fold], [axis + 2 for axis in self.axes]
        combinations = [c for count in range(len(axes)) for c in itertools.combinations(axes, count + 1)]
        total: Tensor = network(tiles)
        for some in combinations:
            total += network(tiles.flip(some)).flip(some)
        return total.div_(len(combinations) + 1)

    def smaller(self) -> bool:
        return False


def network(axes: int, channels: int, heads: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    convolution = nn.Conv3d if axes == 3 else nn.Conv2d
    layers = nn.Sequential(convolution(channels, 4, 3, padding=1), nn.GELU(), convolution(4, heads, 1))
    return layers.requires_grad_(False)


def recipe(patch: Sequence[int], heads: int) -> Any:
    return SimpleNamespace(patch_size=tuple(patch), heads=heads)


def stock(data: Tensor, runner: Torch, patch: Sequence[int], heads: int, step_size: float) -> Tensor:
    """The logits of nnU-Net's predictor."""
    predictor = nnUNetPredictor(step_size, use_mirroring=bool(runner.axes), device=CPU, allow_tqdm=False)
    predictor.configuration_manager = SimpleNamespace(patch_size=list(patch))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=heads)
    predictor.allowed_mirroring_axes = tuple(runner.axes)
    predictor.network = network(len(patch), data.shape[0], heads)
    predictor.list_of_parameters = [each.state_dict() for each in runner.networks]
    with torch.inference_mode():
        return predictor.predict_logits_from_preprocessed_data(data)


def together(parts: Any) -> Tensor:
    """Slabs in a row, each taken before the next one is asked for."""
    rows, end = [], 0
    for slab in parts:
        assert isinstance(slab, Slab) and slab.start == end and slab.logits.shape[1] == slab.stop - slab.start
        rows.append(slab.logits.clone())
        end = slab.stop
    return torch.cat(rows, 1)


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    axes = draw(st.sampled_from((2, 3)))
    patch = draw(st.tuples(*[st.integers(4, 9)] * axes))
    return {
        "size": draw(st.tuples(*[st.integers(1, 13)] * 3)),
        "patch": patch,
        "step_size": draw(st.sampled_from((0.3, 0.5, 0.5, 1.0))),
        "folds": draw(st.integers(1, 3)),
        "mirrored": draw(st.sets(st.integers(0, axes - 1))),
        "channels": draw(st.integers(1, 2)),
        "heads": draw(st.integers(2, 4)),
        "rows": draw(st.integers(1, 10)),
        "seed": draw(st.integers(0, 99)),
        "empty": draw(st.booleans()),
    }


@settings(max_examples=25, deadline=None)
@given(situations())
def test_equal_to_nnunet_bit_by_bit(case: dict[str, Any]) -> None:
    torch.manual_seed(case["seed"])
    patch, heads = case["patch"], case["heads"]
    data = torch.randn(case["channels"], *case["size"])
    if case["empty"]:
        data[:, :, : case["size"][1] // 2] = -1.5
        data[:, case["size"][0] // 3 :] = 0.25
    networks = [network(len(patch), case["channels"], heads, seed) for seed in range(case["folds"])]
    runner = Torch(networks, sorted(case["mirrored"]))
    memory, tally = WindowMemory(rows=case["rows"]), Tally()
    ours = together(slabs(data, runner, recipe(patch, heads), case["step_size"], memory, tally=tally))
    theirs = stock(data, runner, patch, heads, case["step_size"])
    assert ours.dtype == theirs.dtype == torch.half
    assert torch.equal(ours.view(torch.int16), theirs.view(torch.int16))
    assert runner.calls == tally.tiles - tally.uniform


@pytest.mark.parametrize("keep", [True, False])
def test_tiles_of_one_value_are_run_once_a_fold(keep: bool) -> None:
    data = torch.full((1, 20, 8, 8), 2.0)
    runner = Torch([network(3, 1, 3, seed) for seed in range(2)])
    tally = Tally()
    logits = together(slabs(data, runner, recipe((4, 4, 4), 3), 0.5, WindowMemory(keep_uniform=keep), tally=tally))
    assert tally.tiles == 2 * 9 * 3 * 3
    assert (runner.calls, tally.uniform) == ((2, 160) if keep else (162, 0))
    assert torch.equal(logits, stock(data, runner, (4, 4, 4), 3, 0.5))


def test_minus_zero_is_another_value() -> None:
    data = torch.zeros((1, 8, 4, 4))
    data[:, 4:] = -0.0
    runner = Torch([network(3, 1, 2)])
    together(slabs(data, runner, recipe((4, 4, 4), 2), 1.0))
    assert runner.calls == 2


@pytest.mark.parametrize("patch", [(4, 6, 6), (6, 6)])
def test_sums_in_a_mapped_file_and_tiles_in_batches(patch: tuple[int, ...], tmp_path: Any) -> None:
    data = torch.randn(2, 15, 13, 11)
    runner = Torch([network(len(patch), 2, 3, seed) for seed in range(2)], (0, 1))
    want = together(slabs(data, runner, recipe(patch, 3)))
    mapped = together(slabs(data, runner, recipe(patch, 3), memory=WindowMemory(scratch=tmp_path)))
    batched = together(slabs(data, runner, recipe(patch, 3), memory=WindowMemory(batch=5)))
    assert torch.equal(want, mapped) and not list(tmp_path.iterdir())
    torch.testing.assert_close(want, batched, atol=2e-3, rtol=2e-3)


class Full(Torch):
    """Runs out of GPU memory at some calls; can become smaller once."""

    def __init__(self, networks: Sequence[nn.Module], fails: set[int]) -> None:
        super().__init__(networks)
        self.fails, self.small = fails, False

    def __call__(self, tiles: Tensor, fold: int) -> Tensor:
        if self.calls in self.fails:
            self.calls += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().__call__(tiles, fold)

    def smaller(self) -> bool:
        was, self.small = self.small, True
        return not was


def test_a_full_gpu_is_met_piece_by_piece() -> None:
    data = torch.randn(1, 16, 9, 9)
    networks = [network(3, 1, 3)]
    want = together(slabs(data, Torch(networks), recipe((4, 4, 4), 3)))
    full, tally = Full(networks, {0, 5, 9, 40}), Tally()
    seen: list[tuple[int, int]] = []
    memory = WindowMemory(batch=2)
    work = slabs(data, full, recipe((4, 4, 4), 3), 0.5, memory, lambda *done: seen.append(done), tally)
    assert torch.equal(together(work), want)
    assert tally.fallbacks == (
        "one tile at a time",
        "one mirrored copy at a time",
        "sums in host memory",
        "image in host memory",
    )
    assert not memory.on_device and not memory.data_on_device and memory.batch == 1
    assert seen == [(number + 1, 112) for number in range(112)]
    with pytest.raises(SetupError, match=r"One tile of liver_3 does not fit on cpu: CUDA out of memory\. Tried"):
        together(slabs(data, Full(networks, set(range(99))), recipe((4, 4, 4), 3), case="liver_3"))


def test_output_that_is_not_finite_is_refused() -> None:
    data = torch.randn(1, 12, 8, 8)
    data[0, 9, 5, 5] = torch.nan
    runner = Torch([network(3, 1, 2)])
    with pytest.raises(DataError, match=r"for case7 is not finite in the tile that begins at voxel \(6, 2, 2\).*fp32"):
        together(slabs(data, runner, recipe((4, 4, 4), 2), case="case7"))
    loud = Torch([nn.Conv3d(1, 2, 1)])
    with torch.no_grad():
        loud.networks[0].weight.fill_(20_000)  # type: ignore[operator, union-attr]
    with pytest.raises(DataError, match="too large for float16"):
        together(slabs(torch.ones(1, 8, 8, 8), loud, recipe((4, 4, 4), 2)))


def test_what_is_told_may_end_the_work() -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    runner = Torch([network(3, 1, 2)])
    with pytest.raises(KeyboardInterrupt):
        together(slabs(np.ones((1, 8, 8, 8), np.float32), runner, recipe((4, 4, 4), 2), on_tile=stop))
    assert runner.calls == 1
