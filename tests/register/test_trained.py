"""Registration networks read from results folders. Bundles: `tests/bundle/test_registration.py`."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from medmamba.errors import ConfigError, DataError
from medmamba.files import read_json, write_json
from medmamba.networks import create
from medmamba.nnunet import plans as network_plans
from medmamba.register.trained import checkpoint_of_folds, described, load_model, load_results, note_of
from tests.bundle.made import results_folder
from tests.nnunet import plans_by_hand

NOTE = {
    "spacing": [1.5, 1.0, 1.0],
    "size": [16, 32, 16],
    "modalities": ["mri", "ct"],
    "passes": 2,
    "features": False,
    "labels": {"liver": 1},
}
KEY = "reg_head.0.weight"


@pytest.fixture(scope="module")
def plans() -> dict[str, Any]:
    found = network_plans.adapt(plans_by_hand.plans(), "mambamorph", "small", "3d_fullres")
    found[network_plans.STAMP]["registration"] = NOTE
    return found


@pytest.fixture(scope="module")
def states(plans: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    """The weights of three networks."""
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    network, found = create("mambamorph", input_channels=1, **arguments), []
    for seed in range(3):
        torch.manual_seed(seed)
        torch.nn.init.normal_(network.reg_head[0].weight, 0, 0.2)  # type: ignore[index, union-attr]
        found.append(deepcopy(network.state_dict()))
    return found


@pytest.fixture
def folder(plans: dict[str, Any], states: list[dict[str, torch.Tensor]], tmp_path: Path) -> Path:
    """Two folds; the best of the first is not its final one."""
    made = results_folder(
        tmp_path / "Dataset900_Made", plans=plans, trainer="nnUNetTrainerMambaMorph", states=states[:2]
    )
    content = torch.load(made / "fold_0" / "checkpoint_final.pth", weights_only=False)
    torch.save({**content, "network_weights": states[2]}, made / "fold_0" / "checkpoint_best.pth")
    return made


def heads(model: Any) -> list[torch.Tensor]:
    return [network.state_dict()[KEY] for network in model.networks]


def test_the_best_of_each_fold_else_its_final_one(folder: Path, states: list[dict[str, torch.Tensor]]) -> None:
    found = load_results(folder)
    assert [torch.equal(one, states[number][KEY]) for one, number in zip(heads(found), (2, 1), strict=True)] == [
        True
    ] * 2
    final = load_results(folder, checkpoint="checkpoint_final.pth")
    assert all(torch.equal(one, states[number][KEY]) for number, one in enumerate(heads(final)))
    (one,) = heads(load_results(folder, [1]))
    assert torch.equal(one, states[1][KEY])
    assert checkpoint_of_folds(folder) == {
        "0": folder / "fold_0" / "checkpoint_best.pth",
        "1": folder / "fold_1" / "checkpoint_final.pth",
    }


def test_it_is_ready_for_use(folder: Path) -> None:
    found = load_results(folder)
    assert not any(network.training for network in found.networks)
    assert found.use.spacing == (1.5, 1, 1) and found.use.modalities == ("mri", "ct") and found.use.passes == 2
    assert found.name == str(folder) and found.digest.startswith("sha256:")


def test_the_digest_tells_weights_apart(folder: Path) -> None:
    digests = {load_results(folder, folds, name).digest for folds, name in ((None, None), ([0], None), ([1], None))}
    assert len(digests) == 3
    assert load_results(folder).digest == load_results(folder).digest
    before = load_results(folder).digest
    write_json(folder / "dataset.json", {**read_json(folder / "dataset.json"), "name": "another"})
    assert load_results(folder).digest != before


@pytest.mark.parametrize("what", ["folder", "dataset", "name"])
def test_every_way_to_name_it(folder: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_results", str(folder.parent.parent))
    monkeypatch.setenv("nnUNet_raw", str(folder.parent.parent))
    monkeypatch.setenv("nnUNet_preprocessed", str(folder.parent.parent))
    named = {"folder": folder, "dataset": folder.parent, "name": "900:mambamorph:small"}[what]
    if what == "name":
        folder.rename(folder.with_name("nnUNetTrainerMambaMorph__nnUNetPlans_mambamorph-small__3d_fullres"))
    assert len(load_model(named).networks) == 2


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no model"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no checkpoint_final\.pth in fold_4"):
        load_results(folder, [4])
    with pytest.raises(DataError, match=r"has no other\.pth in any fold"):
        load_results(folder, checkpoint="other.pth")


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    file = folder / "fold_1" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    content["network_weights"].pop(KEY)
    torch.save(content, file)
    with pytest.raises(DataError, match="fold_1"):
        load_results(folder)


def test_a_description(plans: dict[str, Any]) -> None:
    name, arguments, use = described(plans, "3d_fullres")
    assert name == "mambamorph" and arguments["embed_dim"] == 24 and use.size == (16, 32, 16)
    assert note_of(plans) == NOTE and note_of(plans) is not plans[network_plans.STAMP]["registration"]


@pytest.mark.parametrize(
    "plans_of",
    [plans_by_hand.plans, lambda: network_plans.adapt(plans_by_hand.plans(), "segmamba", "small", "3d_fullres")],
)
def test_a_model_that_segments_is_refused(plans_of: Any) -> None:
    with pytest.raises(ConfigError, match="segments images"):
        described(plans_of(), "3d_fullres")


@pytest.mark.parametrize("stamp", [None, {}, {"registration": None}, {"registration": "yes"}])
def test_plans_without_a_note(plans: dict[str, Any], stamp: Any) -> None:
    with pytest.raises(DataError, match="lack what training notes"):
        note_of({**plans, network_plans.STAMP: stamp})
