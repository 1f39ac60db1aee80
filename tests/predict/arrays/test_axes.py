"""The weights of one axis."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from medmamba.predict.arrays.axes import apply, axis


@given(st.integers(1, 60), st.integers(1, 90), st.sampled_from([0, 1, 3]))
@settings(deadline=None)
def test_weights_of_an_output_sum_to_one(n_in, n_out, order) -> None:
    found = axis(n_in, n_out, order)
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-6)
    assert (np.diff(found.first) >= 0).all() and (np.diff(found.stop) >= 0).all()
    assert found.ready(n_in) == n_out and found.ready(0) == 0


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("order", [1, 3])
def test_runs_of_outputs_make_the_whole(dim, order) -> None:
    values = np.random.default_rng(0).normal(size=(50, 60, 70))
    shape = [90 if i == dim else size for i, size in enumerate(values.shape)]
    ours = apply(axis(values.shape[dim], 90, order), torch.from_numpy(values), dim).numpy()
    theirs = np.stack(
        [
            resize(line, (90,), order, mode="edge", anti_aliasing=False, clip=False)
            for line in np.moveaxis(values, dim, -1).reshape(-1, values.shape[dim])[:40]
        ]
    )
    assert ours.shape == tuple(shape)
    np.testing.assert_allclose(np.moveaxis(ours, dim, -1).reshape(-1, 90)[:40], theirs, atol=1e-12)
