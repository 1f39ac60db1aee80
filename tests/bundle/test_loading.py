import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import medmamba.bundle
from medmamba.bundle.facts import facts_of
from medmamba.bundle.loading import load_registration
from medmamba.bundle.packing import export
from medmamba.errors import BundleError, ConfigError
from medmamba.nnunet.loaded import load_folder
from medmamba.predict import loading
from medmamba.predict.recipe import LoadedModel
from tests.bundle.made import results_folder, tar
from tests.nnunet import plans_by_hand


def assert_same(found: LoadedModel, wanted: LoadedModel) -> None:
    assert found.folds == wanted.folds
    for ours, theirs in zip(found.weights, wanted.weights, strict=True):
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[key], theirs[key]) and ours[key].dtype == theirs[key].dtype for key in ours)
    channels = len(wanted.recipe.channels) + (len(wanted.recipe.foreground) if wanted.recipe.previous_stage else 0)
    example = torch.randn(1, channels, *wanted.recipe.patch_size)
    with torch.inference_mode():
        assert torch.equal(found.network(example), wanted.network(example))
    left = {**found.recipe.__dict__, "normalizers": len(found.recipe.normalizers)}
    assert left == {**wanted.recipe.__dict__, "normalizers": len(wanted.recipe.normalizers)}
    assert (found.trainer, found.precision, found.label_map) == (wanted.trainer, wanted.precision, wanted.label_map)


def test_a_folder_and_a_tar_are_the_model(original: Path, model: LoadedModel, tmp_path: Path) -> None:
    found = medmamba.bundle.load(original)
    assert_same(found, model)
    assert not found.network.training
    archive = medmamba.bundle.load(tar(original, tmp_path / "a.tar"), expect=found.digest)
    assert_same(archive, model)
    assert archive.digest == found.digest != model.digest


def test_what_names_a_model_names_a_bundle(original: Path, tmp_path: Path) -> None:
    assert loading.load(original).digest == loading.load(tar(original, tmp_path / "a.tar")).digest


def test_folds_are_chosen_and_the_others_checked_all_the_same(bundle: Path, model: LoadedModel) -> None:
    found = medmamba.bundle.load(bundle, folds=[1])
    assert found.folds == ("1",)
    assert torch.equal(next(iter(found.weights[0].values())), next(iter(model.weights[1].values())))
    raw = bytearray((bundle / "fold_0.safetensors").read_bytes())
    raw[-1] ^= 1
    (bundle / "fold_0.safetensors").write_bytes(raw)
    with pytest.raises(BundleError, match=r"was altered: fold_0\.safetensors"):
        medmamba.bundle.load(bundle, folds=[1])


@pytest.mark.parametrize("folds", [[2], ["all"], []])
def test_folds_that_it_does_not_have(original: Path, folds: list[int | str]) -> None:
    with pytest.raises(ConfigError, match="has no fold"):
        medmamba.bundle.load(original, folds=folds)


def test_a_cascade_brings_its_previous_stage(tmp_path: Path) -> None:
    results_folder(tmp_path, "3d_lowres")
    folder = results_folder(tmp_path, "3d_cascade_fullres")
    model = load_folder(folder)
    export(model, tmp_path / "a.tar", facts_of(model, folder))
    found = medmamba.bundle.load(tmp_path / "a.tar", folds=[1])
    assert found.previous is not None and model.previous is not None
    assert found.previous.folds == ("1",)
    assert_same(medmamba.bundle.load(tmp_path / "a.tar").previous, model.previous)  # type: ignore[arg-type]
    assert_same(medmamba.bundle.load(tmp_path / "a.tar"), model)


REGIONS = plans_by_hand.dataset(
    labels={"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, regions_class_order=[1, 2]
)


@pytest.mark.parametrize("dataset", [REGIONS, plans_by_hand.dataset(2)], ids=["regions", "two channels"])
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_other_models(dataset: dict, configuration: str, tmp_path: Path) -> None:
    channels = len(dataset["channel_names"])
    folder = results_folder(tmp_path, configuration, (0,), plans_by_hand.plans(channels), dataset)
    model = load_folder(folder)
    export(model, tmp_path / "bundle", facts_of(model, folder))
    assert_same(medmamba.bundle.load(tmp_path / "bundle"), model)


def test_half_precision_stays(tmp_path: Path) -> None:
    first = load_folder(results_folder(tmp_path / "a", folds=(0,)))
    halves = [{key: tensor.half() for key, tensor in first.weights[0].items()}]
    folder = results_folder(tmp_path / "b", folds=(0,), states=halves)
    model = load_folder(folder)
    export(model, tmp_path / "bundle", facts_of(model, folder), self_test=False)
    found = medmamba.bundle.load(tmp_path / "bundle")
    assert {tensor.dtype for tensor in found.weights[0].values()} == {torch.float16}


def test_a_segmentation_bundle_registers_nothing(original: Path) -> None:
    with pytest.raises(ConfigError, match="does not register"):
        load_registration(original)


AUDIT = """
import json, sys
seen = []
watched = ("pickle.", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "urllib.", "ctypes.dlopen")
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(watched) else None)
import numpy as np
import torch
def forbidden(*arguments, **options):
    raise AssertionError("torch.load was called")
torch.load = torch.serialization.load = forbidden
from medmamba.bundle.verify import verify
from medmamba.predict.predictor import Predictor
seen_at_import, seen[:] = list(seen), []
predictor = Predictor(sys.argv[1], device="cpu")
found = predictor.predict(np.random.default_rng(0).random((1, 20, 30, 20), np.float32), (1.0, 0.8, 0.7))
outcome = verify(sys.argv[1], self_test=True, device="cpu").self_test
result = {"import": seen_at_import, "use": list(seen), "shape": found.shape, "logits": outcome.logits}
import pickle
pickle.loads(pickle.dumps(np.float64(0)))
print(json.dumps({**result, "control": seen}))
"""


def test_nothing_is_unpickled_and_no_socket_is_opened(original: Path, tmp_path: Path) -> None:
    """From the first import to the label map: nothing is unpickled, nothing run, no network asked."""
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, str(tar(original, tmp_path / "a.tar"))],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    harmless = {"ctypes.dlopen"}  # how libraries find each other
    # pydicom, which nibabel loads where it is installed, brings urllib3; that binds a socket to see if there is IPv6
    assert {*found["import"]} <= {*harmless, "socket.__new__", "socket.bind"}
    assert {*found["use"]} <= harmless
    assert found["shape"] == [20, 30, 20]
    assert found["logits"] < 0.1
    assert "pickle.find_class" in found["control"]
