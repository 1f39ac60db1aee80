import json
from pathlib import Path

import pytest

from medmamba.errors import ConfigError
from medmamba.networks import names
from medmamba.nnunet import presets
from medmamba.nnunet.presets import Recipe
from medmamba.resources import folder


@pytest.mark.parametrize("network", names())
def test_every_network_has_all_presets(network: str) -> None:
    more = ("unlabelled",) if network == "mambamorph" else ()
    assert presets.names(network) == ("default", "paper", "small", *more)
    assert [name for name in presets.names(network) if presets.preset(network, name).reproduces] == ["paper"]


@pytest.mark.parametrize("path", sorted(folder("plans").glob("*.json")), ids=lambda path: path.stem)
def test_shipped_presets_are_valid(path: Path) -> None:
    assert presets.read(path).network in names()


@pytest.mark.parametrize(
    ("network", "optimizer", "rate", "epochs"),
    [
        ("umamba-bot", "sgd", 1e-2, 1000),
        ("umamba-enc", "sgd", 1e-2, 1000),
        ("segmamba", "sgd", 1e-2, 1000),
        ("segmamba-v2", "sgd", 1e-2, 1000),
        ("lightm-unet", "adam", 1e-4, 100),
        ("vivim", "adam", 1e-4, 200),
        ("mambamorph", "adam", 1e-4, 1500),
    ],
)
@pytest.mark.parametrize("name", ["default", "paper"])
def test_published_recipes(network: str, optimizer: str, rate: float, epochs: int, name: str) -> None:
    recipe = presets.preset(network, name).recipe
    assert (recipe.optimizer, recipe.learning_rate, recipe.epochs) == (optimizer, rate, epochs)


@pytest.mark.parametrize(
    ("network", "patch", "batch"),
    [
        ("segmamba", (128, 128, 128), 2),
        ("segmamba-v2", (128, 128, 128), 8),
        ("vivim", (5, 256, 256), 8),
        ("umamba-bot", None, None),
        ("lightm-unet", None, None),
    ],
)
def test_published_sizes(network: str, patch: tuple[int, ...] | None, batch: int | None) -> None:
    recipe = presets.preset(network, "paper").recipe
    assert (recipe.patch_size, recipe.batch_size) == (patch, batch)


def test_lightm_and_vivim_peculiarities() -> None:
    light, vivim = presets.preset("lightm-unet").recipe, presets.preset("vivim").recipe
    assert (light.eps, light.weight_decay, light.precision) == (1e-5, 1e-5, "fp32")
    assert (vivim.weight_decay, vivim.schedule, vivim.final_fraction) == (0, "cosine", 0.01)


def test_poly_is_nnunets() -> None:
    recipe = Recipe(learning_rate=0.01, epochs=1000)
    assert recipe.rate(0) == 0.01
    assert recipe.rate(500) == pytest.approx(0.01 * 0.5**0.9)


def test_cosine_ends_where_it_is_told_to() -> None:
    recipe = Recipe(schedule="cosine", learning_rate=1.0, final_fraction=0.01, epochs=10)
    assert recipe.rate(0) == 1.0
    assert recipe.rate(10) == pytest.approx(0.01)


def test_a_constant_rate_stays() -> None:
    recipe = Recipe(schedule="constant", learning_rate=1.0, warmup_epochs=1, epochs=10)
    assert [recipe.rate(epoch) for epoch in (0, 1, 5, 10)] == [0.5, 1.0, 1.0, 1.0]


def test_warmup_rises_to_the_learning_rate() -> None:
    recipe = Recipe(schedule="cosine", learning_rate=1.0, warmup_epochs=3, epochs=10)
    assert [recipe.rate(epoch) for epoch in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("epochs", "every"), [(3, 1), (100, 10), (1000, 50)])
def test_short_runs_save_more_often(epochs: int, every: int) -> None:
    assert Recipe(epochs=epochs).save_every == every


def test_changed_checks_what_it_takes() -> None:
    with pytest.raises(ConfigError, match="epochs"):
        Recipe().changed(epochs=0)


def test_an_error_names_file_and_key(tmp_path: Path) -> None:
    content = json.loads((folder("plans") / "segmamba.json").read_text())
    content["recipe"]["learning_rat"] = 1
    path = tmp_path / "segmamba.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"segmamba\.json: recipe\.learning_rat"):
        presets.read(path)


def test_a_file_must_have_its_networks_name(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text((folder("plans") / "segmamba.json").read_text())
    with pytest.raises(ConfigError, match=r"Rename it to segmamba\.json"):
        presets.read(path)


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="default, paper, small"):
        presets.preset("segmamba", "huge")


@pytest.mark.parametrize(
    ("name", "base", "twin"), [("conv", "default", "conv"), ("small-identity", "small", "identity")]
)
def test_every_preset_has_twins_without_a_file(name: str, base: str, twin: str) -> None:
    found, of = presets.preset("segmamba", name), presets.preset("segmamba", base)
    assert presets.twin_name(base, twin) == found.preset == name
    assert found.config == {**of.config, "mixer": twin} and found.recipe == of.recipe
    assert name not in presets.names("segmamba")


@pytest.mark.parametrize("name", ["huge-conv", "small-scan", "small-conv-conv"])
def test_a_twin_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="twins without a scan: conv"):
        presets.preset("segmamba", name)


def test_there_are_two_twins() -> None:
    with pytest.raises(ConfigError, match="conv, identity"):
        presets.twin_name("small", "attention")


def test_plans_names() -> None:
    assert presets.plans_name("segmamba") == "nnUNetPlans_segmamba"
    assert presets.plans_name("segmamba", "small") == "nnUNetPlans_segmamba-small"
