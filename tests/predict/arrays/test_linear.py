"""Linear interpolation bit by bit as SciPy does it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.transform import resize

from medmamba.predict.arrays.axes import axis
from medmamba.predict.arrays.linear import ROUGH, _mix, at, blend, rough, taps, to_half

CPU = torch.device("cpu")


@given(arrays(np.float64, 50, elements=st.floats(-60000, 60000)))
def test_halves_are_numpys(values) -> None:
    near = values.astype(np.float16).astype(np.float64)
    midway = (near + np.nextafter(near.astype(np.float16), np.float16(np.inf)).astype(np.float64)) / 2
    for sample in (values, midway, np.nextafter(midway, np.inf), np.nextafter(midway, -np.inf)):
        with np.errstate(over="ignore"):
            theirs = sample.astype(np.float16)
        np.testing.assert_array_equal(to_half(torch.from_numpy(sample.copy())).numpy(), theirs)


@given(st.tuples(*[st.integers(2, 12)] * 3), st.tuples(*[st.integers(1, 20)] * 3), st.integers(0, 9))
@settings(deadline=None)
def test_sums_equal_scipys_in_the_last_bit(size, shape, seed) -> None:
    values = np.random.default_rng(seed).normal(size=size)
    parts = [axis(a, b, 1) for a, b in zip(size, shape, strict=True)]
    every = [taps(part, part.run(0, len(part.weights)), CPU) for part in parts]
    changing = [(i + 1, part.neighbours) for i, part in enumerate(every) if part.neighbours]
    if changing and all(part.first == 0 and part.last == n for part, n in zip(every, size, strict=True)):
        ours = _mix(torch.from_numpy(values)[None], changing)[0].numpy()
        np.testing.assert_array_equal(ours, resize(values, shape, 1, mode="edge", anti_aliasing=False, clip=False))


@pytest.mark.parametrize("alone", [None, 0, 2])
def test_the_fast_way_and_the_way_for_some_voxels_agree(alone) -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 9, (5, 8, 12, 14)).astype(np.float16))
    sizes = zip((8, 12, 14), (11, 12, 9), strict=True)
    parts = [axis(a, b, 1, "coordinates" if i == alone else "resize") for i, (a, b) in enumerate(sizes)]
    every = [taps(part, part.run(0, len(part.weights)), CPU) for part in parts]
    whole = blend(logits, every, alone)
    voxels = [torch.from_numpy(index) for index in np.random.default_rng(1).integers(0, 9, (3, 40))]
    assert torch.equal(at(logits, every, alone, voxels), whole[:, voxels[0], voxels[1], voxels[2]])
    exact = _mix(logits.double(), [(i + 1, part.neighbours) for i, part in enumerate(every) if part.neighbours])
    assert (rough(logits, every) - exact).abs().max() < 0.1 * ROUGH * logits.abs().max()
