"""Registration networks in bundles: what was trained is what is loaded, and a card that says otherwise is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

import medmamba.bundle
from medmamba.bundle.loading import load_registration, load_registration_model
from medmamba.bundle.packing import Wording
from medmamba.bundle.registration import export
from medmamba.bundle.verify import verify
from medmamba.errors import BundleError, ConfigError, DataError
from medmamba.files import read_json, write_json
from medmamba.networks import create
from medmamba.nnunet import plans as network_plans
from medmamba.nnunet.loaded import registers
from medmamba.register.trained import load_model
from tests.bundle.made import change, results_folder
from tests.nnunet import plans_by_hand

NOTE = {
    "spacing": [1.5, 1.0, 1.0],
    "size": [16, 32, 16],
    "modalities": ["mri", "mri"],
    "passes": 2,
    "smoothing": 1.5,
    "features": True,
    "labels": {"liver": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of two folds that were never trained."""
    plans = network_plans.adapt(plans_by_hand.plans(), "mambamorph", "small", "3d_fullres")
    plans[network_plans.STAMP]["registration"] = NOTE
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = create("mambamorph", input_channels=1, **arguments)
        torch.nn.init.normal_(network.reg_head[0].weight, 0, 0.2)  # type: ignore[index, union-attr]
        states.append(network.state_dict())
    root = tmp_path_factory.mktemp("results")
    return results_folder(root, plans=plans, trainer="nnUNetTrainerMambaMorph", states=states)


@pytest.fixture
def bundle(folder: Path, tmp_path: Path) -> Path:
    export(folder, tmp_path / "bundle", Wording(intended="MR of the liver"))
    return tmp_path / "bundle"


def test_a_bundle_registers_as_the_folder_does(folder: Path, bundle: Path) -> None:
    images = torch.rand(2, 1, 1, 16, 32, 16, generator=torch.Generator().manual_seed(0))
    wanted, found = load_model(folder), load_model(bundle)
    assert found.use == wanted.use and len(found.networks) == 2
    displacement = found.displacement(images[0], images[1])
    assert float(displacement.abs().max()) > 0.1
    assert torch.equal(displacement, wanted.displacement(images[0], images[1]))
    assert list(load_registration(bundle).state_dict()) == list(wanted.networks[0].state_dict())


def test_the_same_model_gives_the_same_bundle(folder: Path, bundle: Path, tmp_path: Path) -> None:
    assert export(folder, tmp_path / "again.tar", Wording(intended="MR of the liver")) == load_model(bundle).digest


def test_the_card_tells_what_it_is(folder: Path, bundle: Path) -> None:
    card = verify(bundle).inspection.card
    assert (card.task, card.network, card.folds) == ("reg", "mambamorph", ["0", "1"])
    assert card.registration is not None and card.registration.model_dump() == NOTE
    assert card.metrics["0"]["mean"] == 0.5 and card.intended == "MR of the liver"


def test_one_fold(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "one.tar", folds=[1])
    wanted = load_model(folder).networks[1].state_dict()
    found = load_registration(tmp_path / "one.tar").state_dict()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_the_best_checkpoint_is_taken_unless_another_is_asked_for(folder: Path, tmp_path: Path) -> None:
    final = folder / "fold_0" / "checkpoint_final.pth"
    best = final.with_name("checkpoint_best.pth")
    best.write_bytes((folder / "fold_1" / "checkpoint_final.pth").read_bytes())
    try:
        export(folder, tmp_path / "best.tar", folds=[0])
        export(folder, tmp_path / "final.tar", folds=[0], checkpoint="checkpoint_final.pth")
    finally:
        best.unlink()
    key = "reg_head.0.weight"
    networks = load_model(folder).networks
    assert torch.equal(load_registration(tmp_path / "best.tar").state_dict()[key], networks[1].state_dict()[key])
    assert torch.equal(load_registration(tmp_path / "final.tar").state_dict()[key], networks[0].state_dict()[key])


def test_it_segments_nothing(folder: Path, bundle: Path) -> None:
    assert registers(folder)
    with pytest.raises(ConfigError, match="registers images"):
        medmamba.bundle.load(bundle)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"spacing": [1.0, 1.0]}, "registration.spacing"),
        ({"spacing": [0.0, 1.0, 1.0]}, "registration.spacing"),
        ({"size": [16, 16, 100000]}, "registration.size"),
        ({"size": [16, 16, 17]}, "cannot take"),
        ({"modalities": ["mri", "pet"]}, "registration.modalities"),
        ({"passes": 1000}, "registration.passes"),
        ({"smoothing": -1.0}, "registration.smoothing"),
        ({"extra": 1}, "registration.extra"),
    ],
)
def test_a_card_that_cannot_be_is_refused(bundle: Path, edit: dict[str, Any], words: str) -> None:
    change(bundle, "bundle.json", lambda card: card["registration"].update(edit))
    with pytest.raises(BundleError, match=words):
        load_registration_model(bundle)


def test_features_need_an_extractor(bundle: Path) -> None:
    change(bundle, "bundle.json", lambda card: card["arguments"].update(feature_extractor=False))
    with pytest.raises(BundleError, match=r"weights of another network|extractor"):
        load_registration_model(bundle)


def test_a_file_too_many_is_refused(bundle: Path) -> None:
    write_json(bundle / "plans.json", {})
    change(bundle, "bundle.json", lambda card: None)
    with pytest.raises(BundleError, match="no place there"):
        load_registration_model(bundle)


def test_plans_that_no_training_completed(folder: Path, tmp_path: Path) -> None:
    plans = read_json(folder / "plans.json")
    copy = tmp_path / folder.name
    (copy / "fold_0").mkdir(parents=True)
    (copy / "fold_0/checkpoint_final.pth").write_bytes((folder / "fold_0/checkpoint_final.pth").read_bytes())
    write_json(copy / "dataset.json", read_json(folder / "dataset.json"))
    del plans[network_plans.STAMP]["registration"]
    write_json(copy / "plans.json", plans)
    with pytest.raises(DataError, match="lack what training notes"):
        export(copy, tmp_path / "a.tar")
