"""A predictor made from plain values, here and in another process."""

import pickle
from pathlib import Path

import pytest

from medmamba.data.folders import folders
from medmamba.errors import BundleError, ConfigError
from medmamba.predict.batch.making import Making
from tests.bundle.made import results_folder

HOW = {"device": "cpu", "precision": "fp32", "engine": False, "mirror": False, "step_size": 0.75}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root in which one model of one dataset was trained, two folds of it."""
    root = tmp_path_factory.mktemp("root")
    results_folder(root / "nnUNet_results/Dataset901_Blobs")
    return root


def trained(root: Path) -> Path:
    (folder,) = root.glob("nnUNet_results/*/*__*__*")
    return folder


def test_the_same_predictor_comes_out_of_a_copy_that_was_sent(root: Path) -> None:
    making = Making(str(trained(root)), (1,), how=HOW)
    here, there = making.predictor(), pickle.loads(pickle.dumps(making.elsewhere())).predictor()
    assert here.model.folds == there.model.folds == ("1",)
    assert here.model.digest == there.model.digest
    assert here.description() == there.description()
    assert (here.step_size, here.description()["mirror_axes"]) == (0.75, [])


def test_a_loaded_model_is_not_loaded_again(root: Path) -> None:
    making = Making(str(trained(root)), how=HOW)
    model = making.load()
    assert making.predictor(model).model is model and model.folds == ("0", "1")


def test_paths_are_made_absolute_and_names_are_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained(root)
    monkeypatch.chdir(folder.parent)
    assert Making(folder.name).elsewhere().model == str(folder)
    assert Making("Blobs:nnUNetTrainer").elsewhere().model == "Blobs:nnUNetTrainer"


def test_a_model_by_name_is_looked_for_in_its_places(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)
    making = Making("Blobs:nnUNetTrainer", (0,), places=folders(root))
    assert making.load().digest == Making(str(trained(root)), (0,)).load().digest


def test_what_is_asked_for_and_not_there_is_refused(root: Path) -> None:
    with pytest.raises(BundleError, match="not the model that was asked for"):
        Making(str(trained(root)), expect="sha256:" + "0" * 64).load()
    with pytest.raises(ConfigError, match="step size of 3"):
        Making(str(trained(root)), how={**HOW, "step_size": 3}).predictor()
