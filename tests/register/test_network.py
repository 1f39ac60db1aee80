"""A trained registration network, applied."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from medmamba.blocks.warp import integrate, warp
from medmamba.errors import ConfigError, DataError
from medmamba.networks import create
from medmamba.register.deform.fields import compose
from medmamba.register.grid import Grid
from medmamba.register.network import RegistrationModel, Use, ready, use_of
from medmamba.register.trained import load_model

SHAPE = (16, 32, 16)


def model(passes: int = 1, features: bool = True, networks: int = 1, **config: bool | int) -> RegistrationModel:
    made = []
    for seed in range(networks):
        torch.manual_seed(seed)
        network = create("mambamorph", input_channels=1, embed_dim=24, reg_head_chan=8, stages=2, **config)
        torch.nn.init.normal_(network.reg_head[0].weight, 0, 0.2)  # type: ignore[index, union-attr]
        made.append(ready(network))
    use = Use((1.0, 2.0, 1.5), (16, 32, 16), ("mri", "ct"), passes, features, (("one", 1),))
    return RegistrationModel(tuple(made), use, "made", "sha256:0")


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    fixed, moving = torch.rand(2, 1, 1, *SHAPE, generator=torch.Generator().manual_seed(1))
    return fixed, moving


def test_the_displacement_is_the_networks(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    made = model()
    with torch.no_grad():
        wanted = made.networks[0](pair[1], pair[0])[2]
    found = made.displacement(*pair)
    assert float(wanted.abs().max()) > 0.1
    assert torch.allclose(found, wanted, atol=1e-5)


def test_passes_go_on_from_what_was_warped(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    fixed, moving = pair
    once = model().displacement(fixed, moving)
    then = model().displacement(fixed, warp(moving, once))
    assert torch.allclose(model(2).displacement(fixed, moving), compose(then, once), atol=1e-5)


def test_the_velocity_of_each_run_is_smoothed(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    plain = model()
    smoothed = RegistrationModel(plain.networks, replace(plain.use, smoothing=1.5), "made", "sha256:0")
    with torch.no_grad():
        velocity = plain.networks[0](pair[1], pair[0])[1]
    by_scipy = gaussian_filter(velocity.numpy(), (0, 0, 1.5, 1.5, 1.5), mode="nearest", truncate=3)
    wanted = integrate(torch.from_numpy(by_scipy), 7)
    assert torch.allclose(smoothed.displacement(*pair), wanted, atol=1e-5)
    assert not torch.allclose(plain.displacement(*pair), wanted, atol=1e-2)


def test_folds_are_averaged_as_velocities(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    made = model(networks=2)
    with torch.no_grad():
        velocities = [network(pair[1], pair[0])[1] for network in made.networks]
    wanted = integrate((velocities[0] + velocities[1]) / 2, 7)
    assert torch.allclose(made.displacement(*pair), wanted, atol=1e-5)
    features = made.features(pair[0])
    assert features is not None and features.shape == (1, 6, *SHAPE)


def test_a_symmetric_network_turns_round_with_its_images(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    made = model(symmetric=True)
    with torch.no_grad():
        there, back = (made.networks[0](*images)[1] for images in (pair, pair[::-1]))
    assert torch.allclose(there, -back, atol=1e-6)
    assert float(there.abs().max()) > 0.1


def test_features_lie_on_the_voxels_that_were_read(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    made = model()
    network = made.networks[0]
    with torch.no_grad():
        read = torch.nn.functional.normalize(network.read_out_head(network.feature_extractor(pair[0])), dim=1)  # type: ignore[operator]
    found = made.features(pair[0])
    assert found is not None
    assert torch.allclose(found[..., ::2, ::2, ::2], read, atol=1e-6)
    assert model(features=False).features(pair[0]) is None


def test_the_grid_holds_the_whole_image_and_at_least_the_trained_size() -> None:
    turned = np.array([[0, -1.0, 0, 5], [2, 0, 0, -3], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    fixed = Grid((70, 12, 9), turned)
    found = model().grid_for(fixed)
    assert np.allclose(found.spacing, (1.0, 2.0, 1.5))
    assert found.shape == (16, 72, 16)
    assert np.allclose(found.direction, np.eye(3))
    corners = [[x, y, z] for x in (0, 69) for y in (0, 11) for z in (0, 8)]
    assert found.inside(fixed.world(corners)).all()
    assert np.linalg.norm(found.centre - fixed.centre) < 2


def test_an_imported_network_takes_images_as_they_are() -> None:
    made = RegistrationModel(model().networks, Use(), "made", "")
    fixed = Grid((20, 12, 9), np.diag([3.0, 2, 1, 1]))
    found = made.grid_for(fixed)
    assert found.shape == (24, 16, 16) and np.allclose(found.spacing, fixed.spacing)


NOTE = {
    "spacing": [1.0, 1.0, 1.0],
    "size": [16, 16, 16],
    "modalities": ["mri", "ct"],
    "passes": 1,
    "features": True,
    "labels": {"one": 1},
}


def test_a_note() -> None:
    known = Use((1, 1, 1), (16, 16, 16), ("mri", "ct"), 1, True, (("one", 1),))
    assert use_of(NOTE) == known and use_of({**NOTE, "smoothing": 1.5}) == replace(known, smoothing=1.5)


@pytest.mark.parametrize(
    "wrong",
    [{"spacing": [1.0, 1.0]}, {"modalities": ["mri", "pet"]}, {"size": "abc"}, {"labels": [1]}, {"passes": None}],
)
def test_a_note_that_is_none(wrong: dict) -> None:
    with pytest.raises(DataError, match="note of a registration network"):
        use_of({**NOTE, **wrong})


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no model"):
        load_model(tmp_path / "nothing")
    with pytest.raises(DataError, match="holds no model"):
        load_model(tmp_path)
    with pytest.raises(ConfigError, match="names no model"):
        load_model("Hippocampus:")
