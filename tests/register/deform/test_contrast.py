"""One image read in the contrast of the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medmamba.register.deform.contrast import alike, curve
from medmamba.register.deform.fields import sample
from medmamba.register.deform.sides import Sides
from tests.register.deform.pairs import image, known

SHAPE = (24, 26, 22)


def remapped(picture: Tensor) -> Tensor:
    """A contrast that neither rises nor falls: dark and bright become one."""
    return torch.sin(torch.pi * picture) ** 2


def correlation(first: Tensor, second: Tensor) -> float:
    return float(np.corrcoef(first.numpy().ravel(), second.numpy().ravel())[0, 1])


def pair(name: str, seed: int = 0) -> tuple[Sides, Tensor]:
    """(sides of which the named one is remapped, truth)."""
    sides, truth = known(SHAPE, 2.0, seed)
    return replace(sides, **{name: remapped(getattr(sides, name))}), truth


@pytest.mark.parametrize("name", ["fixed", "moving"])
def test_the_image_that_tells_the_other_is_read_and_the_other_stays(name: str) -> None:
    """The remapped image follows from the plain one and not the other way round, so the plain one is changed."""
    sides, truth = pair(name)
    found = alike(sides, truth)
    assert found is not None
    plain = "moving" if name == "fixed" else "fixed"
    assert getattr(found, name) is getattr(sides, name)
    assert (getattr(found, plain) - remapped(getattr(sides, plain))).abs().mean() < 0.03
    before, after = (correlation(one.fixed, sample(one.moving, truth)) for one in (sides, found))
    assert abs(before) < 0.1 and after > 0.99


def test_a_rough_alignment_does() -> None:
    sides, truth = pair("moving")
    assert alike(sides, 0.5 * truth) is not None


def test_a_negative_is_turned_round() -> None:
    sides, truth = known(SHAPE, 2.0)
    found = alike(replace(sides, moving=1 - sides.moving), truth)
    assert found is not None and correlation(found.fixed, sample(found.moving, truth)) > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_unrelated_images_give_none(seed: int) -> None:
    sides, truth = pair("moving", seed)
    assert alike(replace(sides, fixed=image(SHAPE, 50 + seed)), truth) is None


def test_too_few_voxels_give_none() -> None:
    sides, truth = pair("moving")
    mask = torch.zeros_like(sides.fixed)
    assert alike(replace(sides, fixed_mask=mask), truth) is None
    mask[:, :, 10:13, 10:13, 10:13] = 1
    assert alike(replace(sides, fixed_mask=mask), truth) is None


@pytest.mark.parametrize("name", ["fixed", "moving"])
def test_what_is_masked_out_shapes_no_curve(name: str) -> None:
    sides, _ = known(SHAPE, 0.0)
    sides = replace(sides, moving=remapped(sides.moving))
    mask = torch.zeros_like(sides.fixed)
    mask[:, :, :14] = 1
    spoilt = getattr(sides, name).clone()
    spoilt[:, :, 14:] = image(SHAPE, 70)[:, :, 14:]
    still, masked = torch.zeros(1, 3, *SHAPE), {f"{name}_mask": mask}
    wanted = alike(replace(sides, **masked), still)
    found = alike(replace(sides, **{name: spoilt}, **masked), still)
    assert wanted is not None and found is not None
    assert torch.equal(found.fixed[:, :, :14], wanted.fixed[:, :, :14])
    without = alike(replace(sides, **{name: spoilt}), still)
    assert without is None or not torch.equal(without.fixed[:, :, :14], wanted.fixed[:, :, :14])


def test_background_does_not_outweigh_tissue() -> None:
    """Air around a body: the curve's dark end is that of dark tissue, as if the air were masked out."""
    sides, _ = known(SHAPE, 0.0)
    body = torch.zeros_like(sides.fixed)
    body[:, :, 6:-6, 6:-6, 6:-6] = 1
    bare = replace(sides, fixed=sides.fixed * body, moving=(1 - 0.8 * sides.moving) * body)
    still = torch.zeros(1, 3, *SHAPE)
    found, masked = alike(bare, still), alike(replace(bare, fixed_mask=body), still)
    assert found is not None and masked is not None
    assert torch.equal(found.fixed, masked.fixed) and torch.equal(found.moving, masked.moving)


@settings(max_examples=20, deadline=None)
@given(power=st.floats(0.5, 3), turns=st.floats(0.2, 1.2), seed=st.integers(0, 99))
def test_a_curve_is_the_function_between_two_images(power: float, turns: float, seed: int) -> None:
    values = np.random.default_rng(seed).random(40_000).astype(np.float32)
    at = np.linspace(0, 1, len(curve(values, values)))
    wanted = np.sin(np.pi * turns * at**power)
    found = curve(values, np.sin(np.pi * turns * values**power).astype(np.float32))
    assert np.abs(found - wanted)[3:-3].max() < 0.03  # smoothing is one-sided at the ends


@settings(max_examples=20, deadline=None)
@given(
    low=st.floats(0, 1), span=st.floats(0, 0.5), level=st.floats(0, 1), count=st.integers(1, 50), seed=st.integers(0, 9)
)
def test_a_curve_has_a_value_everywhere_and_none_beyond_its_image(
    low: float, span: float, level: float, count: int, seed: int
) -> None:
    """Values that no voxel has go on from those that some have."""
    random = np.random.default_rng(seed)
    values = np.clip(low + span * random.random(count), 0, 1).astype(np.float32)
    others = (level * random.random(count)).astype(np.float32)
    found = curve(values, others)
    assert np.isfinite(found).all()
    assert others.min() - 1e-6 <= found.min() and found.max() <= others.max() + 1e-6
