"""The discrete search for a start."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medmamba.register.deform.fields import sample
from medmamba.register.deform.search import search
from medmamba.register.deform.sides import Settings, Sides
from tests.register.deform.pairs import image

SHAPE = (40, 44, 36)
FAR = torch.tensor([6.0, -6.0, 3.0]).view(1, 3, 1, 1, 1)


def far() -> Sides:
    """Images that lie 9 voxels apart: further than the structures that they show are wide."""
    moving = image(SHAPE)
    return Sides(sample(moving, FAR.expand(1, 3, *SHAPE).contiguous()), moving, (1.0, 1.0, 1.0))


def error(found: Tensor, truth: Tensor = FAR) -> float:
    return (found - truth).norm(dim=1)[..., 10:-10, 10:-10, 10:-10].mean().item()


def test_it_finds_what_is_far_away() -> None:
    assert error(search(far(), Settings())) < 1


@pytest.mark.parametrize("change", [lambda m: 1 - m, lambda m: torch.sin(torch.pi * m) ** 2])
def test_contrast_does_not_matter(change: Callable[[Tensor], Tensor]) -> None:
    sides = far()
    assert error(search(replace(sides, moving=change(sides.moving)), Settings())) < 1


def test_alike_images_stay() -> None:
    sides = far()
    found = search(replace(sides, fixed=sides.moving), Settings())
    assert found.shape == (1, 3, *SHAPE) and found.abs().max() < 0.5


def test_swapping_turns_it_round() -> None:
    sides = far()
    back = search(replace(sides, fixed=sides.moving, moving=sides.fixed), Settings())
    assert error(back, -FAR) < 1


def test_the_result_is_in_voxels_of_any_size() -> None:
    """Thick slices: the same map in mm has a quarter of the voxels along the last axis."""
    moving = image((40, 44, 72))
    truth = torch.tensor([6.0, -6.0, 8.0]).view(1, 3, 1, 1, 1)
    fixed = sample(moving, truth.expand(1, 3, 40, 44, 72).contiguous())
    found = search(Sides(fixed[..., ::4], moving[..., ::4], (1.0, 1.0, 4.0)), Settings())
    inner = found[..., 10:-10, 10:-10, 4:-4].mean((0, 2, 3, 4))
    assert (inner - torch.tensor([6.0, -6.0, 2.0])).abs().max() < 1.5


def test_no_vector_is_longer_than_allowed_in_mm() -> None:
    whole = far()
    small = {name: getattr(whole, name)[..., 8:32, 8:36, 6:30] for name in ("fixed", "moving")}
    sides = replace(whole, **small, spacing=(1.0, 1.5, 1.2))
    free, bound = (search(sides, Settings(max_displacement_mm=most)) for most in (None, 2.0))
    lengths = [(found * torch.tensor(sides.spacing).view(1, 3, 1, 1, 1)).norm(dim=1) for found in (free, bound)]
    assert lengths[0].max() > 3 and 1.9 < lengths[1].max() < 2.001
    short = lengths[0] < 2
    assert short.any() and torch.allclose(free.movedim(1, -1)[short], bound.movedim(1, -1)[short])


def test_masked_out_voxels_pull_less() -> None:
    """Half of the fixed image shows the moving one unmoved; masked out, it draws its neighbours less to where it is."""
    sides = far()
    fixed = sides.fixed.clone()
    fixed[:, :, 20:] = sides.moving[:, :, 20:]
    mask = torch.ones_like(fixed)
    mask[:, :, 20:] = 0
    near = (slice(None), slice(None), slice(8, 20), slice(14, 30), slice(12, 24))
    masked, bare = (search(replace(sides, fixed=fixed, fixed_mask=one), Settings()) for one in (mask, None))
    errors = [(found - FAR).norm(dim=1, keepdim=True)[near].mean() for found in (masked, bare)]
    assert errors[0] < 0.92 * errors[1]
