"""Resampling against nnU-Net's own functions."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape,
    determine_do_sep_z_and_axis,
    resample_data_or_seg_to_shape,
)

from medmamba.predict.arrays.resample import new_shape, resample, separate_axis
from medmamba.predict.recipe import Resampling

sizes = st.tuples(*[st.integers(1, 40)] * 3)
spacings = st.tuples(*[st.sampled_from([0.3, 0.5, 0.97, 1.0, 1.5, 3.0, 5.0])] * 3)
ways = st.builds(
    Resampling, st.sampled_from([0, 1, 3]), st.sampled_from([0, 1, 3]), st.sampled_from([None, None, True, False])
)


def stock(data: np.ndarray, shape: Any, spacing: Any, new: Any, how: Resampling) -> np.ndarray:
    return resample_data_or_seg_to_shape(
        data, shape, spacing, new, False, how.order, how.order_z, force_separate_z=how.force_separate_z
    )


@given(sizes, sizes, spacings, spacings, ways, st.integers(1, 2), st.integers(0, 9))
@settings(deadline=None, max_examples=150)
def test_images_equal_nnunets(size, shape, spacing, new, how, channels, seed) -> None:
    data = np.random.default_rng(seed).normal(50, 200, (channels, *size)).astype(np.float32)
    theirs = stock(data, shape, spacing, new, how)
    ours = resample(data, shape, spacing, new, how)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * np.abs(data).max())


@given(sizes, spacings, spacings, ways)
def test_shapes_and_the_separate_axis_equal_nnunets(size, spacing, new, how) -> None:
    assert new_shape(size, spacing, new) == tuple(compute_new_shape(size, spacing, new))
    separate, axis = determine_do_sep_z_and_axis(how.force_separate_z, spacing, new)
    assert separate_axis(spacing, new, how) == (axis if separate else None)
