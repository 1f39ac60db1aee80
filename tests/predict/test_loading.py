"""What a person may name as a model."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from medmamba import bundle
from medmamba.data.folders import Folders
from medmamba.errors import BundleError, ConfigError, DataError, MedMambaError
from medmamba.files import write_json
from medmamba.nnunet.plans import adapt
from medmamba.predict.loading import load
from tests.nnunet import plans_by_hand as made
from tests.nnunet.results_by_hand import write_results

OURS = "nnUNetTrainerUMambaBot"


@pytest.fixture
def places(tmp_path: Path) -> Folders:
    """A dataset's results with a network of ours, with a second preset of it, and a stock one."""
    home = tmp_path / "results/Dataset900_Made"
    plans = made.plans()
    plans["configurations"]["3d_fullres"]["patch_size"] = [16, 16, 16]
    for preset, suffix in (("small", "-small"), ("default", "")):
        adapted = adapt(plans, "umamba-bot", preset, "3d_fullres")
        write_results(home, plans=adapted, trainer=OURS, name=f"nnUNetPlans_umamba-bot{suffix}")
    write_results(home, "2d", mirror_axes=(0, 1))
    return Folders(tmp_path / "raw", tmp_path / "preprocessed", tmp_path / "results")


def test_a_dataset_and_a_network(places: Folders) -> None:
    home = places.results / "Dataset900_Made"
    for text, name in (
        ("Made:umamba-bot", f"{OURS}__nnUNetPlans_umamba-bot__3d_fullres"),
        ("900:umamba-bot:small", f"{OURS}__nnUNetPlans_umamba-bot-small__3d_fullres"),
        ("Dataset900_Made:umamba-bot:small:3d_fullres", f"{OURS}__nnUNetPlans_umamba-bot-small__3d_fullres"),
        ("made:nnUNetTrainer:default:2d", "nnUNetTrainer__nnUNetPlans__2d"),
    ):
        assert load(text, places=places).name == str(home / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Made:segmamba", "No trained model goes with 'Made:segmamba'. In .*: nnUNetTrainerUMambaBot__"),
        ("Made:umamba-bot:default:2d", "No trained model goes"),
        ("Made:unet", "There is no network 'unet'"),
        ("Made:umamba-bot:huge", "no preset 'huge'"),
        ("Made:", "names no model"),
        ("Made:umamba-bot:small:2d:1", "names no model"),
        ("Hippocampus:umamba-bot", "Nothing was trained on dataset Hippocampus yet. In .*: Dataset900_Made"),
        ("Nowhere:umamba-bot", "There is no dataset 'Nowhere'"),
        ("maed:umamba-bot", "There is no dataset 'maed'. Did you mean Made, trained here"),
        ("Hipocampus:umamba-bot", "Did you mean Hippocampus"),
        ("", "name of the model is empty"),
        ("nowhere", "There is no model nowhere"),
    ],
)
def test_names_without_a_model(places: Folders, text: str, message: str) -> None:
    with pytest.raises(MedMambaError, match=message):
        load(text, places=places)


def test_a_datasets_results_folder(places: Folders, tmp_path: Path) -> None:
    home = places.results / "Dataset900_Made"
    with pytest.raises(ConfigError, match=r"holds 3 models\. Give one: nnUNetTrainerUMambaBot__"):
        load(home)
    only = write_results(tmp_path / "one", "2d", mirror_axes=None)
    assert load(only.parent).name == load(str(only)).name == str(only)
    with pytest.raises(DataError, match=r"Give .*one.* and --folds 0"):
        load(only / "fold_0")
    with pytest.raises(DataError, match="Give the folder"):
        load(only / "fold_0/checkpoint_final.pth")
    with pytest.raises(DataError, match="holds no model"):
        load(tmp_path)


def test_the_digest_can_be_asked_for(tmp_path: Path) -> None:
    place = write_results(tmp_path, "2d", mirror_axes=None)
    digest = load(place).digest
    assert load(place, expect=digest.removeprefix("sha256:").upper()).digest == digest
    with pytest.raises(BundleError, match="not the model that was asked for"):
        load(place, expect="sha256:" + "0" * 64)


def test_bundles_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(bundle, "load", lambda path, **options: seen.append((path, options)))
    write_json(tmp_path / "b/MANIFEST.json", {})
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(tmp_path / "b/MANIFEST.json", "MANIFEST.json")
    for path in (tmp_path / "b", tmp_path / "b.tar"):
        load(path, folds=[1], expect="sha256:0")
        assert seen.pop() == (path, {"folds": [1], "expect": "sha256:0"})


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(DataError, match="permission denied"):
        load(tmp_path)
