"""Batches of pairs."""

from typing import Any

import numpy as np
import pytest
import torch

from medmamba.blocks.warp import warp
from medmamba.nnunet.loop.stream import Phase, Share
from medmamba.nnunet.registration.batches import PairBatches, sample
from medmamba.nnunet.registration.cases import Case
from medmamba.nnunet.registration.options import Augmentation
from medmamba.nnunet.registration.pairing import read_pairing

SIZE, SPACING = (16, 32, 16), (1.0, 2.0, 0.5)
NAMES = ["a", "b", "c"]
STRONG = Augmentation.model_validate(
    {"rotation": 20, "scale": 0.2, "shift": 2, "apart": 0.5, "warp": 3, "contrast": "remap", "noise": 0.1}
)
NONE = Augmentation.model_validate({})


class _Cases:
    """Cases in memory, moved against each other by 2 mm along the first axis."""

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def __getitem__(self, name: str) -> Case:
        random = np.random.default_rng(list(name.encode()))
        shape = (13 + NAMES.index(name), 30, 18)
        images = tuple(torch.from_numpy(random.random(shape, dtype=np.float32)) for _ in range(self.channels))
        return Case(images, torch.from_numpy(random.integers(0, 3, shape).astype(np.int16)))

    def between(self, fixed: str, moving: str) -> np.ndarray:
        matrix = np.eye(4)
        matrix[0, 3] = 2.0 * (NAMES.index(moving) - NAMES.index(fixed))
        return matrix


def batches(
    phase: Phase = Phase.TRAIN, share: Share | None = None, how: Augmentation = STRONG, channels: int = 1, seed: int = 5
) -> PairBatches:
    names = {str(channel): "MR" for channel in range(channels)}
    pairing = read_pairing({"channel_names": names, "labels": {"background": 0, "one": 1, "two": 2}})
    cases: Any = _Cases(channels)
    return PairBatches(cases, NAMES, pairing, SIZE, SPACING, seed, phase, share or Share(0, 2, 2), how)


def test_a_place_has_its_own_pairs_whenever_it_is_asked_for() -> None:
    first, other = batches()[3, 4], batches()
    other[0, 0]
    again = other[3, 4]
    assert first["keys"] == again["keys"]
    assert torch.equal(first["data"], again["data"]) and torch.equal(first["target"], again["target"])
    assert not torch.equal(first["data"], other[3, 5]["data"])
    assert not torch.equal(first["data"], batches(seed=6)[3, 4]["data"])


def test_several_processes_make_the_batch_of_one() -> None:
    whole = batches(share=Share(0, 3, 3))[1, 2]
    parts = [batches(share=share)[1, 2] for share in (Share(0, 2, 3), Share(2, 1, 3))]
    assert torch.equal(torch.cat([part["data"] for part in parts]), whole["data"])


def test_what_a_batch_holds() -> None:
    batch = batches()[0, 0]
    assert batch["data"].shape == (2, 4, *SIZE) and batch["target"].shape == (2, 4, *SIZE)
    for part in (batch["data"], batch["target"]):
        assert part.min() >= 0 and part.max() <= 1 + 1e-5
    assert all(len(set(key.split(" <- "))) == 2 for key in batch["keys"])


def test_without_augmentation_images_are_only_aligned() -> None:
    batch = batches(Phase.VALIDATION, Share(0, 1, 1), NONE)[7, 0]
    assert batch["keys"] == ["a <- b"]
    cases = _Cases()
    fixed, moving, *inside = batch["data"][0]
    # 13 voxels of 16 on the first axis: the middles lie on each other, half a voxel between the lattices
    assert torch.allclose(fixed[2:14, 1:31], _half(cases["a"].images[0])[:12, :, 1:17], atol=1e-5)
    # b has 14 voxels there and lies 2 mm = 2 voxels further on
    assert torch.allclose(moving[:13, 1:31], cases["b"].images[0][1:, :, 1:17], atol=1e-5)
    assert [round(float(one.sum())) for one in inside] == [13 * 30 * 16, 13 * 30 * 16]


def _half(image: torch.Tensor) -> torch.Tensor:
    """Between neighbours on the first axis."""
    return (image[1:] + image[:-1]) / 2


def test_validation_pairs_are_the_same_in_every_epoch() -> None:
    stream = batches(Phase.VALIDATION)
    assert torch.equal(stream[0, 1]["data"], stream[9, 1]["data"])
    assert [stream[0, step]["keys"] for step in range(2)] == [["a <- b", "b <- c"], ["c <- a", "a <- b"]]


def test_channels_of_one_case_are_moved_apart_to_validate() -> None:
    batch = batches(Phase.VALIDATION, channels=2)[0, 0]
    assert batch["keys"][0] == "a <- a"
    fixed, moving = batch["target"][0].chunk(2)
    assert not torch.allclose(fixed, moving, atol=0.1)


def test_sampling_along_a_displacement_is_warping() -> None:
    random = torch.Generator().manual_seed(0)
    image = torch.rand(2, 8, 10, 12, generator=random)
    field = torch.rand(1, 3, 8, 10, 12, generator=random) * 4 - 2
    assert torch.allclose(sample(image, np.eye(4), (8, 10, 12), SPACING, field), warp(image[None], field)[0], atol=1e-5)


@pytest.mark.parametrize("axis", range(3))
def test_a_shift_is_in_millimetres(axis: int) -> None:
    image = torch.rand(1, 8, 10, 12, generator=torch.Generator().manual_seed(1))
    matrix = np.eye(4)
    matrix[axis, 3] = 2 * SPACING[axis]
    found = sample(image, matrix, (8, 10, 12), SPACING)
    kept = image.shape[axis + 1] - 2
    assert torch.allclose(found.narrow(axis + 1, 0, kept), image.narrow(axis + 1, 2, kept), atol=1e-5)
