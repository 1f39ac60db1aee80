"""What a deformation is judged by: each term on its own, and what is left out."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medmamba.register.deform.fields import exponential
from medmamba.register.deform.objective import both, distance, judge
from medmamba.register.deform.sides import Settings, Sides
from medmamba.register.similarity import mse, soft_dice
from tests.register.deform.pairs import image, known, velocity

SHAPE = (16, 18, 14)
MSE = Settings(similarity="mse")


def shift(*voxels: float) -> Tensor:
    """The field (1, 3, *) that is the same everywhere."""
    return torch.tensor(voxels, dtype=torch.float32).view(1, 3, 1, 1, 1).expand(1, 3, *SHAPE).contiguous()


@pytest.fixture
def sides() -> Sides:
    return known(SHAPE, 1.5)[0]


def test_minds_descriptors_stand_for_the_images(sides: Sides) -> None:
    fixed, moving = both(sides, "mind")
    assert fixed.image.shape == moving.image.shape == (1, 12, *SHAPE)
    fixed, moving = both(sides, "lncc")
    assert fixed.image is sides.fixed and moving.image is sides.moving


@pytest.mark.parametrize("name", ["lncc", "mse", "mind"])
def test_alike_images_cost_least(name: str, sides: Sides) -> None:
    how = replace(MSE, similarity=name)
    alike, apart = (
        judge(both(pair, name), (None, shift(0, 0, 0)), how) for pair in (replace(sides, fixed=sides.moving), sides)
    )
    assert alike < apart


def test_each_side_is_read_through_its_own_field(sides: Sides) -> None:
    pair = replace(sides, fixed=sides.moving)
    assert judge(both(pair, "mse"), (None, shift(0, 0, 0)), MSE) < 1e-12
    assert judge(both(pair, "mse"), (shift(2, 0, 0), shift(2, 0, 0)), MSE) < 1e-12
    assert judge(both(pair, "mse"), (shift(2, 0, 0), shift(0, 0, 0)), MSE) > 1e-3


def test_outside_of_an_image_nothing_counts(sides: Sides) -> None:
    """Four voxels on, a quarter of the moving image is gone: the rest fits without a flaw."""
    moved = torch.roll(sides.moving, -4, dims=2)
    pair = replace(sides, fixed=moved)
    assert judge(both(pair, "mse"), (None, shift(4, 0, 0)), MSE).item() == pytest.approx(0, abs=1e-12)
    (_, side) = both(pair, "mse")
    mask = side.warped(shift(4, 0, 0)).mask
    assert mask is not None and mask[:, :, :12].all() and not mask[:, :, 12:].any()


@pytest.mark.parametrize("name", ["fixed", "moving"])
def test_what_is_masked_out_neither_counts_nor_bleeds_in(name: str, sides: Sides) -> None:
    mask = torch.ones_like(sides.fixed)
    mask[:, :, 6:10, 6:10, 6:10] = 0
    implant = getattr(sides, name) * mask + (1 - mask)
    field = exponential(velocity(SHAPE, 1.5, 3))
    plain, spoilt = (
        judge(both(replace(sides, **{name: picture, f"{name}_mask": mask}), "mse"), (-field, field), MSE)
        for picture in (getattr(sides, name), implant)
    )
    # at most a hundredth of a voxel, by which a mask's edge is still taken for whole
    assert spoilt.item() == pytest.approx(plain.item(), rel=0.02)


def test_two_masks_count_together(sides: Sides) -> None:
    left, right = torch.zeros_like(sides.fixed), torch.zeros_like(sides.fixed)
    left[:, :, :10], right[:, :, 6:] = 1, 1
    masked = both(replace(sides, fixed_mask=left, moving_mask=right), "mse")
    field = shift(0, 0, 0)
    assert torch.isclose(judge(masked, (None, field), MSE), mse(sides.fixed[:, :, 6:10], sides.moving[:, :, 6:10]))


def test_labels_and_features_come_with_their_weights(sides: Sides) -> None:
    labels = [(image(SHAPE, seed) > 0.5).float() for seed in (1, 2)]
    features = [torch.cat([image(SHAPE, seed), image(SHAPE, seed + 1)], dim=1) for seed in (3, 5)]
    how = replace(MSE, label_weight=3.0, feature_weight=7.0)
    field = shift(0, 0, 0)
    bare = judge(both(sides, "mse"), (None, field), how)
    labelled = replace(sides, fixed_labels=labels[0], moving_labels=labels[1])
    wanted = bare + 3 * (1 + soft_dice(*labels))
    assert torch.isclose(judge(both(labelled, "mse"), (None, field), how), wanted)
    whole = replace(labelled, fixed_features=features[0], moving_features=features[1])
    assert torch.isclose(judge(both(whole, "mse"), (None, field), how), wanted + 7 * mse(*features))
    one_sided = replace(sides, fixed_labels=labels[0], moving_features=features[1])
    assert judge(both(one_sided, "mse"), (None, field), how) == bare


def test_labels_and_features_go_where_the_image_goes(sides: Sides) -> None:
    parts = {"labels": (image(SHAPE, 1) > 0.5).float(), "features": torch.cat([image(SHAPE, 2), image(SHAPE, 3)], 1)}
    (_, side) = both(replace(sides, **{f"moving_{name}": part for name, part in parts.items()}), "mse")
    moved = side.warped(shift(0, 3, -2))
    for found, was in ((moved.image, sides.moving), *((getattr(moved, name), part) for name, part in parts.items())):
        assert torch.allclose(found[..., :-3, 2:], was[..., 3:, :-2], atol=1e-5)
    assert side.warped(None) is side


@settings(max_examples=20, deadline=None)
@given(step=st.tuples(*[st.floats(-3, 3)] * 3), spacing=st.tuples(*[st.floats(0.5, 4)] * 3), seed=st.integers(0, 99))
def test_the_distance_of_landmarks_is_in_mm(step: tuple[float, ...], spacing: tuple[float, ...], seed: int) -> None:
    points = torch.rand(5, 3, generator=torch.Generator().manual_seed(seed)) * torch.tensor([15.0, 17, 13])
    nothing = torch.zeros(1, 1, *SHAPE)
    pair = both(Sides(nothing, nothing, (1, 1, 1), fixed_points=points, moving_points=points), "mse")
    wanted = sum((one * edge) ** 2 for one, edge in zip(step, spacing, strict=True))
    assert distance(pair, (shift(*step), None), spacing).item() == pytest.approx(wanted, rel=1e-3, abs=1e-6)
    assert distance(pair, (shift(*step), shift(*step)), spacing).item() == pytest.approx(0, abs=1e-6)


def test_landmarks_take_the_field_of_their_own_place() -> None:
    """Fixed points are what a field moves: at whole voxels its value, between two the mean of both."""
    field = torch.randn(1, 3, *SHAPE, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([[3.0, 4.0, 5.0], [15.0, 17.0, 13.0], [7.0, 8.5, 2.0]])
    value = torch.stack([field[0, :, 3, 4, 5], field[0, :, 15, 17, 13], field[0, :, 7, 8:10, 2].mean(-1)])
    nothing = torch.zeros(1, 1, *SHAPE)
    pair = both(Sides(nothing, nothing, (1, 1, 1), fixed_points=at, moving_points=at + value), "mse")
    assert distance(pair, (field, None), (1, 1, 1)).item() == pytest.approx(0, abs=1e-9)
    assert distance(pair, (None, None), (1, 1, 1)).item() == pytest.approx((value**2).sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("points", [{}, {"fixed_points": torch.ones(2, 3)}])
def test_without_landmarks_there_is_no_distance(points: dict[str, Tensor], sides: Sides) -> None:
    field = shift(1, 0, 0)
    assert distance(both(replace(sides, **points), "mse"), (field, None), (1, 1, 1)) == 0
    none = {"fixed_points": torch.zeros(0, 3), "moving_points": torch.zeros(0, 3)}
    assert distance(both(replace(sides, **none), "mse"), (field, None), (1, 1, 1)) == 0


def test_every_term_pulls_at_the_field(sides: Sides) -> None:
    points = torch.tensor([[4.0, 5.0, 6.0]])
    full = replace(sides, fixed_points=points, moving_points=points + 1)
    field = shift(0.2, 0, 0).requires_grad_()
    pair = both(full, "mse")
    for term in (judge(pair, (None, field), MSE), distance(pair, (field, None), (1, 1, 1))):
        (gradient,) = torch.autograd.grad(term, field, retain_graph=True)
        assert gradient.isfinite().all() and gradient.abs().sum() > 0
