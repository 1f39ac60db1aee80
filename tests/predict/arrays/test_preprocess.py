"""Preprocessing against nnU-Net's own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from medmamba.errors import DataError
from medmamba.predict.arrays.preprocess import preprocess, preprocess_bytes
from medmamba.predict.recipe import Resampling
from tests.predict import stock

spacings = st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.25, 4.0])] * 3)
normalizations = st.lists(
    st.sampled_from(
        [
            ("ZScoreNormalization", False),
            ("ZScoreNormalization", True),
            ("CTNormalization", False),
            ("NoNormalization", False),
            ("RescaleTo01Normalization", False),
        ]
    ),
    min_size=1,
    max_size=3,
)
ways = st.builds(
    Resampling, st.sampled_from([0, 1, 3]), st.sampled_from([0, 1]), st.sampled_from([None, None, True, False])
)


def make_image(channels: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Zero outside of an ellipsoid with a hole in it, noise within."""
    random = np.random.default_rng(seed)
    image = random.normal(100, 40, (channels, *shape)).astype(np.float32)
    grid = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    radius = sum((axis + random.uniform(-0.3, 0.3)) ** 2 for axis in grid)
    image[:, (radius > random.uniform(0.4, 1.5)) | (radius < 0.05)] = 0
    return image


@given(
    st.tuples(*[st.integers(9, 22)] * 3),
    spacings,
    spacings,
    st.permutations([0, 1, 2]),
    normalizations,
    ways,
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=60, phases=[Phase.generate])
def test_what_the_network_sees_equals_nnunets(
    shape, spacing, target, order, normalization, how, two_dimensional, cascade, seed
) -> None:
    recipe = stock.recipe(target[1:] if two_dimensional else target, 4, tuple(order), tuple(normalization), image=how)
    image = make_image(len(normalization), shape, seed)
    own = [spacing[i] for i in order]
    if any(size * a < 0.6 * b for size, a, b in zip((4, 4, 4), own, (own[0], *recipe.spacing)[-3:], strict=True)):
        return  # less than a voxel is left: refused
    previous = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8) if cascade else None
    theirs, properties = stock.preprocess(image, spacing, recipe, previous)
    ours, place = preprocess(image.copy(), spacing, recipe, previous)
    assert ours.dtype == np.float32 and ours.shape == theirs.shape and place.network_shape == ours.shape[1:]
    channels = len(normalization)
    np.testing.assert_allclose(ours[:channels], theirs[:channels], rtol=1e-6, atol=1e-6 * np.abs(theirs).max())
    np.testing.assert_array_equal(ours[channels:], theirs[channels:])
    told = place.as_properties()
    properties.pop("class_locations", None)
    assert told == properties
    assert place.shape == shape


def test_less_than_a_voxel_is_refused() -> None:
    with pytest.raises(DataError, match="less than half a voxel"):
        preprocess(np.ones((1, 2, 9, 9), np.float32), (1.0, 1.0, 1.0), stock.recipe((5.0, 1.0, 1.0)))


def test_nothing_but_zeros_is_kept_whole() -> None:
    recipe = stock.recipe((2.0, 2.0, 2.0))
    theirs, properties = stock.preprocess(np.zeros((1, 6, 8, 10), np.float32), (1.0, 1.0, 1.0), recipe)
    ours, place = preprocess(np.zeros((1, 6, 8, 10), np.float32), (1.0, 1.0, 1.0), recipe)
    np.testing.assert_array_equal(ours, theirs)
    assert place.as_properties() == properties


def test_the_result_may_lie_in_a_file(tmp_path: Path) -> None:
    recipe, image = stock.recipe((0.7, 0.9, 1.0)), make_image(1, (9, 12, 10), 0)
    inside, _ = preprocess(image.copy(), (1.0, 1.0, 1.0), recipe)
    mapped, _ = preprocess(image, (1.0, 1.0, 1.0), recipe, scratch=tmp_path)
    assert isinstance(mapped, np.memmap) and not list(tmp_path.iterdir())
    np.testing.assert_array_equal(mapped, inside)


_MEASURE = """
import sys
import numpy as np
from medmamba.predict.arrays.preprocess import preprocess
from tests.predict import stock
def memory(field):
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith(field)).split()[1])
normalization = eval(sys.argv[1])
recipe = stock.recipe((0.8, 0.9, 0.7), normalization=normalization)
once = np.eye(9, dtype=np.float32)[None, None].repeat(len(normalization), 0)
preprocess(once, (1.0, 1.0, 1.0), recipe)  # what is loaded only once is no part of it
image = np.random.default_rng(0).random((len(normalization), 150, 160, 170), np.float32)
image[:, :2] = 0
before = memory("VmRSS")  # not the peak so far: loading the libraries may have gone higher than they remain
preprocess(image, (1.0, 1.0, 1.0), recipe)
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of the memory of a process")
@pytest.mark.parametrize(
    "normalization",
    [(("CTNormalization", False),), pytest.param((("ZScoreNormalization", True),) * 2, marks=pytest.mark.slow)],
)
def test_memory_stays_below_what_is_said(normalization) -> None:
    shape, recipe = (150, 160, 170), stock.recipe((0.8, 0.9, 0.7), normalization=normalization)
    said = preprocess_bytes(shape, (188, 178, 243), len(normalization), recipe)
    command = [sys.executable, "-c", _MEASURE, repr(normalization)]
    taken = int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()[-1])
    result = 4 * len(normalization) * 188 * 178 * 243
    assert result < taken < said < 3 * taken
