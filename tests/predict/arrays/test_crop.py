"""Masks and boxes against nnU-Net's own."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

from medmamba.predict.arrays.crop import background, bounding_box, nonzero


@given(st.tuples(*[st.integers(1, 12)] * 3), st.integers(1, 2), st.floats(0, 1), st.integers(0, 999))
@settings(deadline=None)
def test_box_and_background_equal_nnunets(shape, channels, density, seed) -> None:
    random = np.random.default_rng(seed)
    image = (random.random((channels, *shape)) < density).astype(np.float32)
    _, theirs, box = crop_to_nonzero(image.copy())
    mask = nonzero(image)
    ours = bounding_box(mask)
    assert [list(bounds) for bounds in ours] == [list(bounds) for bounds in box]
    np.testing.assert_array_equal(background(mask[tuple(slice(*bounds) for bounds in ours)])[None], theirs)
