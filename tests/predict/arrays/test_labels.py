"""Label maps on another grid, against nnU-Net's own."""

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

from medmamba.predict.arrays.labels import resample_labels
from medmamba.predict.recipe import Resampling

sizes = st.tuples(*[st.integers(2, 14)] * 3)
spacings = st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 5.0])] * 3)
ways = st.builds(Resampling, st.sampled_from([0, 1, 1]), st.sampled_from([0, 1]), st.sampled_from([None, True, False]))


@given(sizes, sizes, spacings, spacings, ways, st.integers(0, 9))
@settings(deadline=None, max_examples=60, phases=[Phase.generate])
def test_labels_equal_nnunets(size, shape, spacing, new, how, seed) -> None:
    labels = np.random.default_rng(seed).integers(-1, 4, size).astype(np.int16)
    theirs = resample_data_or_seg_to_shape(
        labels[None], shape, spacing, new, True, how.order, how.order_z, force_separate_z=how.force_separate_z
    )[0]
    ours = resample_labels(labels, shape, spacing, new, how)
    assert ours.dtype == labels.dtype
    np.testing.assert_array_equal(ours, theirs)
