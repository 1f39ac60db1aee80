from dataclasses import replace

import pytest
import torch

from medmamba.register.deform import instance
from medmamba.register.deform.fields import exponential, sample
from medmamba.register.deform.instance import optimise
from medmamba.register.deform.sides import Settings, Sides
from tests.register.deform.pairs import image, known, velocity

_INNER = (Ellipsis, *[slice(4, -4)] * 3)


def _error(found, truth):
    return (found - truth).norm(dim=1)[_INNER].mean().item()


@pytest.mark.parametrize("similarity", ["lncc", "mse", "nmi", "mind"])
def test_recovers_a_known_field(similarity):
    sides, truth = known()
    found = optimise(sides, Settings(similarity=similarity, also=(), iterations=30))
    assert _error(found.displacement, truth) < 0.5 < _error(torch.zeros_like(truth), truth)
    assert found.folding == 0 and found.inverse_residual_mm[1] < 0.5


def test_lncc_follows_mind_across_contrasts():
    """Of a contrast that neither rises nor falls: with one image read in the other's contrast, LNCC helps."""
    sides, truth = known((28, 30, 26))
    other = replace(sides, moving=torch.sin(torch.pi * sides.moving) ** 2)
    stages = []
    both = optimise(other, Settings(similarity="mind", iterations=12), progress=lambda *told: stages.append(told[0]))
    alone = optimise(other, Settings(similarity="mind", also=(), iterations=12))
    assert {stage.split(",")[0] for stage in stages} == {"mind", "lncc"}
    assert _error(both.displacement, truth) < 0.8 * _error(alone.displacement, truth) < 0.5
    assert both.folding == 0


def test_lncc_does_not_follow_mind_where_no_contrast_tells_the_other():
    sides, _ = known((20, 22, 18))
    stages = []
    unrelated = replace(sides, fixed=image((20, 22, 18), 50))
    settings = Settings(similarity="mind", iterations=2)
    both = optimise(unrelated, settings, progress=lambda *told: stages.append(told[0]))
    assert {stage.split(",")[0] for stage in stages} == {"mind"}
    assert torch.equal(both.displacement, optimise(unrelated, replace(settings, also=())).displacement)


@pytest.mark.parametrize(
    ("large", "similarities", "iterations"), [(10**9, ["lncc", "mind"], 10), (1, ["level 3 of 3"], 2)]
)
def test_very_large_grids_get_one_similarity_and_fewer_iterations(monkeypatch, large, similarities, iterations):
    monkeypatch.setattr(instance, "_LARGE", large)
    sides, _ = known((40, 42, 44))
    told = []
    optimise(sides, Settings(iterations=10), progress=lambda *what: told.append(what))
    finest = [(where, of) for where, _, of, _ in told if "level 3 of 3" in where]
    assert list(dict.fromkeys(where.split(",")[0] for where, _ in finest)) == similarities
    assert {of for _, of in finest} == {iterations}


@pytest.mark.parametrize("options", [{"symmetric": False}, {"diffeomorphic": False}])
def test_other_kinds_of_field(options):
    sides, truth = known()
    found = optimise(sides, Settings(similarity="mse", iterations=40, **options))
    assert _error(found.displacement, truth) < 0.6
    assert (found.velocity is None) == ("diffeomorphic" in options)


def test_alike_images_stay():
    sides, _ = known()
    found = optimise(replace(sides, fixed=sides.moving), Settings(iterations=10))
    assert found.displacement.abs().max() < 0.05


def test_swapping_gives_the_inverse_and_again_gives_the_same():
    sides, _ = known(most=2.0)
    settings = Settings(iterations=6)
    there = optimise(sides, settings)
    back = optimise(replace(sides, fixed=sides.moving, moving=sides.fixed), settings)
    assert (there.inverse - back.displacement)[_INNER].abs().max() < 0.1
    assert torch.equal(there.displacement, optimise(sides, settings).displacement)


def test_anisotropic_voxels():
    """Thick slices: the truth, in mm, is as smooth as ever, its voxels are not."""
    sides, truth = known(shape=(32, 32, 64))
    thick = replace(sides, fixed=sides.fixed[..., ::4], moving=sides.moving[..., ::4], spacing=(1.0, 1.0, 4.0))
    expected = truth[..., ::4] / torch.tensor([1.0, 1.0, 4.0]).view(1, 3, 1, 1, 1)
    found = optimise(thick, Settings(similarity="lncc", also=(), iterations=30)).displacement
    assert _error(found[:, :2], expected[:, :2]) < 0.6


def test_no_voxel_moves_further_than_allowed():
    sides, _ = known(most=4.0)
    found = optimise(sides, Settings(similarity="mse", iterations=20, max_displacement_mm=1.0))
    assert 0.5 < found.displacement.norm(dim=1).max() < 1.001


@pytest.mark.parametrize("diffeomorphic", [True, False])
def test_folds_are_removed_and_said(diffeomorphic):
    sides, _ = known(most=4.0)
    wild = Settings(similarity="mse", iterations=30, reg_weight=0.0, diffeomorphic=diffeomorphic)
    noisy = replace(sides, fixed=image(sides.fixed.shape[2:], 50))
    loose = optimise(noisy, replace(wild, max_folding=100.0))
    tight = optimise(noisy, wild)
    assert tight.folding == 0
    if loose.folding > 0:
        assert any("folded" in warning for warning in tight.warnings)
    else:
        assert diffeomorphic, "the pair is meant to fold where nothing keeps it from doing so"


def test_masked_out_voxels_do_not_pull():
    """A bright implant in the moving image alone, masked: the field is that of the pair without it."""
    sides, truth = known()
    moving = sides.moving.clone()
    moving[:, :, 10:16, 10:16, 10:16] = 3.0
    mask = (moving < 2).float()
    settings = Settings(similarity="mse", iterations=30)
    masked = optimise(replace(sides, moving=moving, moving_mask=mask), settings)
    bare = optimise(replace(sides, moving=moving), settings)
    assert _error(masked.displacement, truth) < 0.6 < _error(bare.displacement, truth)


def test_labels_and_points_lead_where_the_images_are_blank():
    shape, truth = (28, 28, 28), exponential(velocity((28, 28, 28), 3.0))
    moving_labels = (image(shape, 7) > 0.5).float()
    blank = torch.full((1, 1, *shape), 0.5)
    fixed_labels = sample(moving_labels, truth)
    labelled = Sides(blank, blank, (1.0, 1.0, 1.0), fixed_labels=fixed_labels, moving_labels=moving_labels)
    found = optimise(labelled, Settings(similarity="mse", iterations=30))
    before = (fixed_labels - moving_labels).abs().mean()
    assert (fixed_labels - sample(moving_labels, found.displacement)).abs().mean() < before / 2

    points = torch.tensor([[8.0, 9, 10], [18, 12, 14], [14, 20, 9]])
    there = points + torch.stack([truth[0, :, int(x), int(y), int(z)] for x, y, z in points])
    marked = Sides(blank, blank, (1.0, 1.0, 1.0), fixed_points=points, moving_points=there)
    field = optimise(marked, Settings(similarity="mse", iterations=40)).displacement
    moved = points + torch.stack([field[0, :, int(x), int(y), int(z)] for x, y, z in points])
    assert (moved - there).norm(dim=1).mean() < 0.5 < (points - there).norm(dim=1).mean()


def test_features_lead_too():
    sides, truth = known()
    blank = torch.full_like(sides.fixed, 0.5)
    featured = replace(sides, fixed=blank, moving=blank, fixed_features=sides.fixed, moving_features=sides.moving)
    found = optimise(featured, Settings(similarity="mse", iterations=40))
    assert _error(found.displacement, truth) < 0.6


def test_progress_counts_and_losses_fall():
    sides, _ = known()
    seen = []
    found = optimise(sides, Settings(iterations=6), progress=lambda *state: seen.append(state))
    assert seen and all(1 <= iteration <= total == 6 for _, iteration, total, _ in seen)
    assert [state[3] for state in seen] == [loss for curve in found.losses for loss in curve]
    assert all(min(curve) <= curve[0] for curve in found.losses)
