from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.networks import fit_patch
from medmamba.nnunet.planning.topology import candidates

UNET: dict[str, Any] = {
    "features_per_stage": [32, 64, 128],
    "kernel_sizes": [[3, 3, 3]] * 3,
    "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
}
SIZES = st.lists(st.integers(20, 300), min_size=3, max_size=3)
SPACINGS = st.lists(st.floats(0.4, 6), min_size=3, max_size=3)


@settings(deadline=None, max_examples=30)
@given(
    network=st.sampled_from(["umamba-bot", "segmamba", "lightm-unet", "vivim", "mambamorph"]),
    median=SIZES,
    spacing=SPACINGS,
)
def test_patches_shrink_step_by_step_and_every_network_takes_them(
    network: str, median: list[int], spacing: list[float]
) -> None:
    choices = candidates(network, {}, UNET, spacing, [float(size) for size in median])
    for patch, unet in choices:
        assert fit_patch(network, patch, unet, {}) == patch
        assert len(unet["strides"]) == len(unet["kernel_sizes"]) == len(unet["features_per_stage"])
    for (larger, _), (smaller, _) in pairwise(choices):
        assert all(a >= b for a, b in zip(larger, smaller, strict=True))
        assert larger != smaller


@pytest.mark.parametrize(
    ("network", "first", "last"), [("segmamba", (128, 160, 128), (32, 32, 32)), ("vivim", (5, 160, 128), (5, 32, 32))]
)
def test_from_the_images_down_to_what_is_worth_training(
    network: str, first: tuple[int, ...], last: tuple[int, ...]
) -> None:
    choices = candidates(network, {}, UNET, [1.0, 1.0, 1.0], [120.0, 150.0, 120.0])
    assert (choices[0][0], choices[-1][0]) == (first, last)


def test_a_preset_can_say_where_to_begin() -> None:
    choices = candidates("segmamba", {}, UNET, [1.0] * 3, [120.0] * 3, (64, 64, 64))
    assert choices[0][0] == (64, 64, 64)


def test_pooling_is_nnunets() -> None:
    (patch, unet), *_ = candidates("umamba-bot", {}, UNET, [5.0, 1.0, 1.0], [20.0, 256.0, 256.0])
    assert patch == (20, 256, 256)
    assert unet["strides"][1] == [1, 2, 2]
    assert unet["kernel_sizes"][0] == [1, 3, 3]
    assert max(unet["features_per_stage"]) == 320
