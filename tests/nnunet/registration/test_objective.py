"""The terms of a registration's loss."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from medmamba.blocks.warp import integrate, warp
from medmamba.nnunet.registration.objective import Objective, counts, field_figures, label_map
from medmamba.nnunet.registration.options import SIMILARITIES, Losses
from medmamba.register.similarity import BY_NAME, contrastive, diffusion, soft_dice

SHAPE = (12, 14, 16)


def network(**changes: Any) -> SimpleNamespace:
    usual = {"diffeomorphic": True, "symmetric": False, "integration_steps": 3, "feature_extractor": object()}
    return SimpleNamespace(**{**usual, **changes})


@pytest.fixture
def batch() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, 2, *SHAPE), generator=random)
    soft = [torch.stack([labels[:, side] == value for value in (1, 2)], 1).float() for side in (0, 1)]
    velocity = torch.randn(2, 3, *SHAPE, generator=random)
    return {
        "data": torch.cat([torch.rand(2, 2, *SHAPE, generator=random), torch.ones(2, 2, *SHAPE)], dim=1),
        "target": torch.cat(soft, dim=1),
        "velocity": velocity,
        "displacement": integrate(velocity, 3),
        "features": torch.randn(2, 6, 6, 7, 8, generator=random),
    }


def loss(batch: dict[str, Tensor], losses: dict[str, Any], kept: int = 2, **changes: Any) -> Tensor:
    objective = Objective(Losses.model_validate(losses), network(**changes), kept)
    outputs = [batch["data"][:, 1:2], batch["velocity"], batch["displacement"], batch["features"]]
    return objective(outputs, batch["data"], batch["target"])


def test_the_similarities_that_a_preset_may_name() -> None:
    assert tuple(BY_NAME) == SIMILARITIES


def test_the_authors_losses_are_the_default(batch: dict[str, Tensor]) -> None:
    fixed, moving = batch["target"].chunk(2, dim=1)
    wanted = soft_dice(fixed, warp(moving, batch["displacement"])) + 0.2 * diffusion(batch["velocity"])
    assert torch.isclose(loss(batch, {}), wanted)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_each_similarity_of_the_warped_image(name: str, batch: dict[str, Tensor]) -> None:
    fixed, moving, *_ = batch["data"].split(1, dim=1)
    inside = (warp(torch.ones_like(moving), batch["displacement"]) > 0.999).float()
    warped = warp(moving, batch["displacement"])
    each = [BY_NAME[name](fixed[[one]], warped[[one]], inside[[one]]) for one in range(2)]
    wanted = 3 * sum(each) / 2
    assert torch.isclose(loss(batch, {"dice": 0, "smooth": 0, name: 3}), wanted)


def test_both_ways(batch: dict[str, Tensor]) -> None:
    fixed, moving, *_ = batch["data"].split(1, dim=1)
    back = integrate(-batch["velocity"], 3)
    wanted = [mse(fixed, moving, batch["displacement"]), mse(moving, fixed, back)]
    found = loss(batch, {"dice": 0, "smooth": 0, "mse": 1}, symmetric=True)
    assert torch.isclose(found, torch.stack(wanted).mean())


def test_a_displacement_that_is_not_integrated(batch: dict[str, Tensor]) -> None:
    fixed, moving, *_ = batch["data"].split(1, dim=1)
    found = loss(batch, {"dice": 0, "smooth": 0, "mse": 1}, diffeomorphic=False)
    assert torch.isclose(found, mse(fixed, moving, batch["velocity"]))


def mse(fixed: Tensor, moving: Tensor, displacement: Tensor) -> Tensor:
    """Where both images are known."""
    inside = (warp(torch.ones_like(moving), displacement) > 0.999).float()
    warped = warp(moving, displacement)
    return sum(BY_NAME["mse"](fixed[[one]], warped[[one]], inside[[one]]) for one in range(2)) / 2


def test_voxels_whose_neighbours_are_not_known_do_not_count(batch: dict[str, Tensor]) -> None:
    how = {"dice": 0, "smooth": 0, "lncc": 1}
    still = {**batch, "displacement": torch.zeros(2, 3, *SHAPE)}
    still["data"][:, 2, :5] = 0
    before = loss(still, how)
    still["data"][:, 0, :5] = 7.0
    assert torch.isclose(loss(still, how), before)


def test_the_contrastive_term(batch: dict[str, Tensor]) -> None:
    fixed, moving = (label_map(one) for one in batch["target"].chunk(2, dim=1))
    found = loss(batch, {"dice": 0, "smooth": 0, "contrastive": 0.5})
    assert torch.isclose(found, 0.5 * contrastive(batch["features"], moving, fixed, [1, 2]))
    everything_is_near = loss(batch, {"dice": 0, "smooth": 0, "contrastive": 0.5, "contrastive_background": True})
    assert torch.isclose(everything_is_near, 0.5 * contrastive(batch["features"], moving, fixed, [0, 1, 2]))


def test_background_far_from_the_labels_does_not_count(batch: dict[str, Tensor]) -> None:
    alone = torch.zeros(2, 4, *SHAPE)
    alone[:, ::2, :2, :2, :2] = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
    alone[:, 1::2, :2, :2, :2] = 0
    how = {"dice": 0, "smooth": 0, "contrastive": 1, "contrastive_background": True}
    before = loss({**batch, "target": alone}, how)
    far = batch["features"].clone()
    far[..., 4:, 4:, 4:] = 7.0
    assert torch.equal(loss({**batch, "target": alone, "features": far}, how), before)


def test_without_labels_or_extractor_their_terms_are_left_out(batch: dict[str, Tensor]) -> None:
    no_labels = {**batch, "target": torch.zeros(2, 0, *SHAPE)}
    objective = Objective(Losses.model_validate({"lncc": 1, "contrastive": 1}), network(), 0)
    terms = objective.terms(
        [batch["data"], batch["velocity"], batch["displacement"]], batch["data"], no_labels["target"]
    )
    assert set(terms) == {"lncc", "smooth"}
    assert not objective.overlaps and not objective.compares
    assert not Objective(Losses.model_validate({"contrastive": 1}), network(feature_extractor=None), 2).compares


def test_counts_of_voxels() -> None:
    fixed, warped = torch.zeros(1, 2, 2, 2, 2), torch.zeros(1, 2, 2, 2, 2)
    fixed[0, 0, 0], fixed[0, 1, 1, 0] = 1.0, 0.6
    warped[0, 0, 0, 0], warped[0, 1, 1] = 0.9, 1.0
    both, more, less = counts(fixed, warped)
    assert both.tolist() == [2, 2] and more.tolist() == [0, 2] and less.tolist() == [2, 0]


def test_figures_of_a_field() -> None:
    still = field_figures(torch.zeros(1, 3, 8, 8, 8))
    assert still == {"folding_percent": 0.0, "mean_displacement": 0.0, "largest_displacement": 0.0}
    moved = torch.zeros(2, 3, 8, 8, 8)
    moved[0, 1] = 2
    assert field_figures(moved)["mean_displacement"] == 1
    turned = -2 * torch.arange(8.0).view(1, 1, 8, 1, 1) * torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1, 1)
    assert field_figures(turned.expand(1, 3, 8, 8, 8))["folding_percent"] == pytest.approx(100)
