"""Label maps and probabilities against nnU-Net's own export."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from scipy.ndimage import gaussian_filter

from medmamba.predict.arrays.export import Slab, export_bytes, label_map
from medmamba.predict.arrays.preprocess import Place
from medmamba.predict.arrays.resample import new_shape
from medmamba.predict.recipe import Resampling
from tests.predict import stock


def make_place(shape, spacing, recipe, margins=(0, 0, 0)) -> Place:
    """Of an image (file order) with margins of zeros on both sides of each transposed axis."""
    whole = tuple(shape[i] for i in recipe.transpose_forward)
    own = tuple(spacing[i] for i in recipe.transpose_forward)
    bbox = tuple((margin, size - margin) for margin, size in zip(margins, whole, strict=True))
    inside = tuple(stop - start for start, stop in bbox)
    target = recipe.spacing if len(recipe.spacing) == 3 else (own[0], *recipe.spacing)
    return Place(tuple(spacing), tuple(shape), whole, bbox, inside, new_shape(inside, own, target))


def make_logits(heads, shape, seed, smooth=1.5) -> torch.Tensor:
    """Smooth fields with a class per neighbourhood, as networks give them: float16."""
    random = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(random.normal(size=shape), smooth) for _ in range(heads)])
    fields *= 6 / fields.std()
    return torch.from_numpy(fields.astype(np.float16))


def slabs(logits: torch.Tensor, seed: int = 0) -> Iterator[Slab]:
    """Rows in pieces of any size, each gone (overwritten) when the next is asked for."""
    random, start = np.random.default_rng(seed), 0
    while start < logits.shape[1]:
        stop = min(start + int(random.integers(1, 9)), logits.shape[1])
        rows = logits[:, start:stop].clone()
        yield Slab(start, stop, rows)
        rows.fill_(torch.nan)
        start = stop


grids = st.tuples(*[st.integers(5, 24)] * 3)
spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 1.3, 2.0, 6.0])] * 3)
ways = st.builds(
    Resampling,
    st.sampled_from([0, 1, 1, 1, 3]),
    st.sampled_from([0, 0, 1]),
    st.sampled_from([None, None, True, False]),
)


@given(
    grids,
    spacings,
    spacings,
    st.permutations([0, 1, 2]),
    ways,
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=60, phases=[Phase.generate])
def test_label_maps_equal_nnunets(
    shape, spacing, target, order, how, heads, two_dimensional, with_regions, seed
) -> None:
    regions = tuple(range(1, heads + 1)) if with_regions and heads > 1 else None
    recipe = stock.recipe(
        target[1:] if two_dimensional else target, max(heads, 2), tuple(order), regions=regions, logits=how
    )
    place = make_place(shape, spacing, recipe, (seed % 3, 1, 0))
    if min(place.network_shape) < 1 or np.prod(place.network_shape) > 20_000:
        return
    logits = make_logits(recipe.heads, place.network_shape, seed)
    theirs = stock.export(logits, recipe, place)
    ours = label_map(slabs(logits, seed), recipe, place, rows=1 + seed % 7)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("regions", [None, (2, 1, 3)])
@pytest.mark.parametrize("target", [(1.5, 1.2, 0.9), (1.0, 1.0, 1.0), (6.0, 1.2, 0.9)])
def test_probabilities_equal_nnunets(target, regions, tmp_path: Path) -> None:
    recipe = stock.recipe(target, 3, (2, 0, 1), regions=regions)
    place = make_place((14, 16, 19), (1.0, 1.0, 1.0), recipe, (2, 1, 0))
    logits = make_logits(3, place.network_shape, 0)
    labels, theirs = stock.export(logits, recipe, place, probabilities=True)
    ours = label_map(slabs(logits), recipe, place, tmp_path / "case.npz", tmp_path)
    np.testing.assert_array_equal(ours, labels)
    assert [file.name for file in tmp_path.iterdir()] == ["case.npz"]
    with np.load(tmp_path / "case.npz") as file:
        assert file.files == ["probabilities"] and file["probabilities"].dtype == theirs.dtype
        np.testing.assert_allclose(file["probabilities"], theirs, atol=1e-6)


@pytest.mark.parametrize("regions", [None, (2, 1, 3)])
def test_another_way_of_resampling_gets_the_whole_array(regions, tmp_path: Path) -> None:
    def resampler(data, shape, spacing, new_spacing):
        return resample_torch_fornnunet(data, shape, spacing, new_spacing, is_seg=False, num_threads=1)

    recipe = stock.recipe((1.5, 1.2, 0.9), 3, regions=regions, logits=resampler)
    place = make_place((14, 16, 19), (1.0, 1.0, 1.0), recipe)
    logits = make_logits(3, place.network_shape, 0)
    np.testing.assert_array_equal(
        label_map(slabs(logits), recipe, place, scratch=tmp_path), stock.export(logits, recipe, place)
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "target", [(1.5, 1.5, 1.5), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (4.0, 1.0, 1.0), (0.8, 1.3, 1.1)]
)
def test_realistic_logits_give_the_same_labels(target) -> None:
    """Many classes, organs of some voxels, tile borders and ties: upsampling by two puts voxels midway between two."""
    recipe = stock.recipe(target, 24)
    place = make_place((40, 100, 90), (1.0, 1.0, 1.0), recipe)
    logits = make_logits(24, place.network_shape, 1, smooth=4)
    logits = (logits * 4).round() / 4  # so that classes tie
    np.testing.assert_array_equal(label_map(slabs(logits), recipe, place), stock.export(logits, recipe, place))


def test_nan_wins_as_it_does_in_numpy() -> None:
    recipe = stock.recipe((1.0, 1.0, 1.0), 4)
    place = make_place((8, 60, 60), (1.0, 1.0, 1.0), recipe)
    logits = make_logits(4, place.network_shape, 0)
    logits[2, 3:5, 10:20, 10:20] = torch.nan
    logits[1, 4:6, 15:25, 10:20] = torch.nan
    np.testing.assert_array_equal(label_map(slabs(logits), recipe, place), stock.export(logits, recipe, place))


def test_a_hundred_classes_take_a_fraction_of_their_logits() -> None:
    recipe = stock.recipe((1.5, 1.5, 1.5), 104)
    place = make_place((600, 512, 512), (1.0, 1.0, 1.0), recipe)
    labels = 600 * 512 * 512
    assert labels < export_bytes(place, recipe) < 0.6e9  # nnU-Net: 33 GB of float16 and as much again
    cubic = stock.recipe((1.5, 1.5, 1.5), 104, logits=Resampling(3, 0))
    assert export_bytes(place, cubic) > 2 * 104 * labels > export_bytes(place, cubic, scratch=True)


@pytest.mark.parametrize("heads", [2, 3, 8, 15, 16, 17, 104])
def test_probabilities_never_take_less(heads: int) -> None:
    expected = []
    for count in (heads, heads + 1):
        recipe = stock.recipe((1.5, 1.5, 1.5), count)
        place = make_place((60, 80, 90), (1.0, 1.0, 1.0), recipe)
        expected.append([export_bytes(place, recipe, wanted) for wanted in (False, True)])
    assert expected[0][0] < expected[0][1]
    assert expected[0][0] <= expected[1][0] and expected[0][1] < expected[1][1]
