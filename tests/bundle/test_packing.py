import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import medmamba.bundle
from medmamba.bundle.facts import facts_of
from medmamba.bundle.packing import Facts, Wording, export
from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.predict.recipe import LoadedModel
from tests.bundle.made import snapshot
from tests.nnunet import plans_by_hand

FACTS = Facts("2026-01-31T12:00:00Z")


def test_the_same_model_gives_the_same_bundle(
    original: Path, model: LoadedModel, results: Path, tmp_path: Path
) -> None:
    wording = Wording(intended="MR brain", licence="CC-BY-4.0")
    digests = [export(model, tmp_path / name, facts_of(model, results), wording) for name in ("a", "a.tar", "b.tar")]
    assert set(digests) == {medmamba.bundle.load(original).digest}
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert snapshot(tmp_path / "a") == snapshot(original)
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert {(one.mtime, one.uid, one.uname) for one in archive} == {(0, 0, "")}
        assert {one.name: archive.extractfile(one).read() for one in archive} == {  # type: ignore[union-attr]
            file.name: file.read_bytes() for file in original.iterdir()
        }


def test_what_is_in_it(original: Path) -> None:
    files = {file.name for file in original.iterdir()}
    assert files == {
        *("MANIFEST.json", "bundle.json", "plans.json", "dataset.json", "dataset_fingerprint.json", "expected.json"),
        *("fold_0.safetensors", "fold_1.safetensors"),
    }
    card = json.loads((original / "bundle.json").read_text())
    assert card["name"] == "Dataset900_Made PlainConvUNet 3d_fullres"
    assert card["metrics"] == {fold: {"mean": 0.5, "shell": 0.5, "core": None} for fold in ("0", "1")}
    assert (card["intended"], card["licence"]) == ("MR brain", "CC-BY-4.0")
    assert card["software"]["torch"]
    assert list(json.loads((original / "plans.json").read_text())["configurations"]) == ["3d_fullres"]


def test_of_patients_and_the_machine_it_says_nothing(model: LoadedModel, tmp_path: Path) -> None:
    listing = {"training": [{"image": "ZZPHIZZ.nii.gz"}], "dataset": {"ZZPHIZZ": {}}, "test": ["ZZPHIZZ"]}
    budget = {"network": "umamba-bot", "preset": "default", "budget": {"device": "ZZPHIZZ"}}
    plans = {**model.plans, "medmamba": budget}
    known = replace(model, dataset={**model.dataset, **listing}, plans=plans, name="/home/ZZPHIZZ")
    export(known, tmp_path / "a.tar", FACTS)
    assert b"ZZPHIZZ" not in (tmp_path / "a.tar").read_bytes()


@pytest.mark.parametrize("name", ["a.tar", "a"])
def test_nothing_is_written_over(name: str, model: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        export(model, tmp_path / name, FACTS)
    assert (tmp_path / name).read_text() == "mine"


def test_where_nothing_can_be_written(model: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be written"):
        export(model, tmp_path / "file" / "a.tar", FACTS, self_test=False)


@pytest.mark.parametrize("name", ["a.tar", "a"])
def test_a_failed_export_leaves_nothing(name: str, model: LoadedModel, tmp_path: Path) -> None:
    spoilt = replace(model, weights=(*model.weights[:1], {}))
    with pytest.raises(DataError, match="Fold 1 does not fit its network"):
        export(spoilt, tmp_path / name, FACTS, self_test=False)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_not_ours_stays_at_home(model: LoadedModel, tmp_path: Path) -> None:
    plans = plans_by_hand.plans()
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "somebody.network.Theirs"
    with pytest.raises(ConfigError, match=r"somebody\.network\.Theirs"):
        export(replace(model, plans=plans), tmp_path / "a.tar", FACTS, self_test=False)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_shown(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name cannot be in a bundle"):
        export(model, tmp_path / "a.tar", FACTS, Wording(name="\x1b[2J"))


def test_parts_that_nnunet_does_not_have_are_named(model: LoadedModel, tmp_path: Path) -> None:
    plans = plans_by_hand.plans()
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["OurNormalization"]
    with pytest.raises(ConfigError, match="for it asks for the normalization 'OurNormalization'"):
        export(replace(model, plans=plans), tmp_path / "a.tar", FACTS, self_test=False)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_computes_nothing_is_said(model: LoadedModel, tmp_path: Path) -> None:
    spoilt = tuple({key: tensor * float("nan") for key, tensor in state.items()} for state in model.weights)
    with pytest.raises(DataError, match=r"cannot segment the image of the self-test.*--no-self-test"):
        export(replace(model, weights=spoilt), tmp_path / "a.tar", FACTS)
