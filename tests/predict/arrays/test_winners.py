"""Who wins in a block, against judging every channel in full."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.predict.arrays.axes import axis
from medmamba.predict.arrays.linear import blend, taps
from medmamba.predict.arrays.winners import Block, greatest, painted


@given(st.integers(1, 40), st.sampled_from([0.01, 0.3, 5.0]), st.sampled_from([None, 0, 1, 2]), st.integers(0, 99))
@settings(deadline=None)
def test_only_candidates_are_judged_and_the_winner_is_the_same(heads, contrast, alone, seed) -> None:
    random = np.random.default_rng(seed)
    offsets = random.normal(0, 3, (heads, 1, 1, 1)).round()  # channels that lose everywhere, and ties
    logits = torch.from_numpy((offsets + contrast * random.normal(size=(heads, 4, 6, 7)).round(1)).astype(np.float16))
    method = ["coordinates" if i == alone else "resize" for i in range(3)]
    parts = [axis(a, b, 1, how) for a, b, how in zip((4, 6, 7), (8, 9, 5), method, strict=True)]
    every = [taps(part, part.run(0, len(part.weights)), torch.device("cpu")) for part in parts]
    block = Block(logits[:, :, :, every[2].first : every[2].last], (every[0], every[1], every[2]), alone)
    whole = blend(block.logits, block.axes, alone).float()
    np.testing.assert_array_equal(np.broadcast_to(greatest(block), (8, 9, 5)), whole.numpy().argmax(0))
    regions = np.zeros((8, 9, 5), np.int64)
    for value, channel in enumerate(whole.sigmoid().numpy(), 1):
        regions[channel > 0.5] = value
    np.testing.assert_array_equal(np.broadcast_to(painted(block, range(1, heads + 1)), (8, 9, 5)), regions)
