"""Checkpoints with the keys of the original code: weights by the reference's rule, arguments from its manifests."""

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

import medmamba.bundle
from medmamba.bundle.images import Images
from medmamba.bundle.importing import import_checkpoint
from medmamba.bundle.loading import load_registration
from medmamba.bundle.verify import inspect, verify
from medmamba.errors import ConfigError, DataError
from medmamba.networks import from_upstream
from tests.bundle.made import results_folder
from tests.nnunet import plans_by_hand
from tests.reference_data import golden_cases, needs_reference

CASES = {case.name.rpartition("/")[2]: case for case in golden_cases()}
WIDTHS = {"in_chans": 2, "out_chans": 3, "depths": [1] * 4, "feat_size": [48, 8, 8, 8], "hidden_size": 8}


def images(channels: int, labels: int, patch: tuple[int, ...], **more: Any) -> Images:
    names = [f"c{channel}" for channel in range(channels)]
    return Images(names, [f"l{label}" for label in range(labels)], [1.0] * len(patch), patch, **more)


@pytest.fixture
def segmamba(tmp_path: Path) -> Path:
    """A SegMamba checkpoint as its authors' training writes it: a bare state dict."""
    torch.manual_seed(0)
    torch.save(from_upstream("SegMamba", WIDTHS).state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


@needs_reference
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("small32", marks=pytest.mark.slow),
        pytest.param("v2_small", marks=pytest.mark.slow),
        *("light_3d", "bot_3d_nods", "enc_3d_nods"),
    ],
)
def test_segmentation_networks(name: str, tmp_path: Path) -> None:
    case = next(case for key, case in CASES.items() if key.endswith(name))
    (inputs,) = case.inputs()
    inputs = torch.from_numpy(inputs)
    channels = inputs.shape[1]
    state = {key: torch.as_tensor(value) for key, value in case.weights().items()}
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "model.pth")
    given = {**case.kwargs, "deep_supervision": False} if "deep_supervision" in case.kwargs else case.kwargs
    wanted = from_upstream(case.architecture, given, state).eval()
    with torch.inference_mode():
        outputs = wanted(inputs)
    file, target = tmp_path / "model.pth", tmp_path / "a.tar"
    known = images(channels, outputs.shape[1] - 1, tuple(inputs.shape[2:]))
    import_checkpoint(file, target, case.architecture, given, known, self_test=False)
    model = medmamba.bundle.load(target)
    with torch.inference_mode():
        assert torch.equal(model.network(inputs), outputs)
    assert inspect(target).card.origin == f"{case.architecture} of its authors, from model.pth"


@needs_reference
def test_vivim_becomes_a_network_of_volumes(tmp_path: Path) -> None:
    case = next(case for key, case in CASES.items() if case.architecture == "Vivim" and key.endswith("small"))
    state = {key: torch.as_tensor(value) for key, value in case.weights().items()}
    torch.save(state, tmp_path / "vivim.pth")
    known = images(3, 1, (5, 64, 96), normalization="rgb01")
    import_checkpoint(tmp_path / "vivim.pth", tmp_path / "a", "Vivim", case.kwargs, known, self_test=False)
    model = medmamba.bundle.load(tmp_path / "a")
    frames = torch.rand(1, 3, 5, 64, 96)
    with torch.inference_mode():
        found = model.network(frames)
        colours = (frames - model.network.mean) / model.network.std
        wanted = from_upstream("Vivim", case.kwargs, state).eval()(colours.transpose(1, 2))
    assert found.shape == (1, 2, 5, 64, 96)
    assert torch.equal(found[:, 0], torch.zeros_like(found[:, 0]))
    torch.testing.assert_close(found[0, 1], wanted[:, 0])


@needs_reference
@pytest.mark.parametrize("kind", ["MambaMorph", "MambaMorphFeat"])
def test_registration_networks(kind: str, tmp_path: Path) -> None:
    case = next(case for key, case in CASES.items() if case.architecture == kind and "small" in key)
    state = {key: torch.as_tensor(value) for key, value in case.weights().items()}
    torch.save(state, tmp_path / "morph.pt")
    import_checkpoint(tmp_path / "morph.pt", tmp_path / "a.tar", kind, case.kwargs)
    assert verify(tmp_path / "a.tar").inspection.card.task == "reg"
    wanted, found = from_upstream(kind, case.kwargs, state).state_dict(), load_registration(tmp_path / "a.tar")
    assert all(torch.equal(tensor, wanted[key]) for key, tensor in found.state_dict().items())
    with pytest.raises(ConfigError, match="registers images"):
        medmamba.bundle.load(tmp_path / "a.tar")


def test_what_was_said_is_in_the_recipe(segmamba: Path, tmp_path: Path) -> None:
    known = images(2, 2, (32, 32, 32), normalization="zscore-nonzero", mirror=True)
    import_checkpoint(segmamba, tmp_path / "a.tar", "SegMamba", WIDTHS, known)
    recipe = medmamba.bundle.load(tmp_path / "a.tar").recipe
    assert recipe.channels == ("c0", "c1")
    assert dict(recipe.labels) == {"background": 0, "l0": 1, "l1": 2}
    assert (recipe.patch_size, recipe.mirror_axes) == ((32, 32, 32), (0, 1, 2))
    assert verify(tmp_path / "a.tar", self_test=True, device="cpu", precision="fp32").self_test


def test_plans_say_it_as_well(segmamba: Path, tmp_path: Path) -> None:
    plans = plans_by_hand.plans(2)
    plans["configurations"]["3d_fullres"]["patch_size"] = [32, 32, 32]
    known = Images(plans=plans, dataset=plans_by_hand.dataset(2))
    import_checkpoint(segmamba, tmp_path / "a", "SegMamba", WIDTHS, known, self_test=False)
    model = medmamba.bundle.load(tmp_path / "a")
    assert model.recipe.spacing == (1.0, 0.8, 0.7)
    assert type(model.network).__name__ == "SegMamba"


def old_plans() -> dict[str, Any]:
    """Plans as nnU-Net 2.1 wrote them, on which U-Mamba was built: the topology, no network."""
    plans = plans_by_hand.plans()
    content = plans["configurations"]["3d_fullres"]
    del content["architecture"]
    content.update(
        UNet_class_name="PlainConvUNet",
        UNet_base_num_features=8,
        unet_max_num_features=16,
        n_conv_per_stage_encoder=[2, 2, 2],
        n_conv_per_stage_decoder=[2, 2],
        num_pool_per_axis=[2, 2, 2],
        pool_op_kernel_sizes=[[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        conv_kernel_sizes=[[3, 3, 3]] * 3,
    )
    return {**plans, "configurations": {"3d_fullres": content}}


@pytest.mark.parametrize("kind", ["UMambaBot", "UMambaEnc"])
@pytest.mark.parametrize("plans", [old_plans(), plans_by_hand.plans()], ids=["nnU-Net 2.1", "nnU-Net 2.8"])
def test_results_folders_of_u_mamba(kind: str, plans: dict[str, Any], tmp_path: Path) -> None:
    from medmamba.nnunet.plans import resolve

    planned = resolve(deepcopy(plans), "3d_fullres")["architecture"]["arch_kwargs"]
    size = {"input_size": [16, 24, 16]} if kind == "UMambaEnc" else {}
    arguments = {**planned, **size, "input_channels": 1, "num_classes": 3, "deep_supervision": True}
    torch.manual_seed(0)
    source = from_upstream(kind, arguments).eval()
    state = source.state_dict()
    twice = {f"decoder.encoder.{key[8:]}": value for key, value in state.items() if key.startswith("encoder.")}
    trainer = f"nnUNetTrainer{kind}"
    folder = results_folder(tmp_path, folds=(0,), plans=plans, trainer=trainer, states=[{**state, **twice}])
    import_checkpoint(folder, tmp_path / "a.tar")
    model = medmamba.bundle.load(tmp_path / "a.tar")
    example = torch.randn(1, 1, 16, 24, 16)
    with torch.inference_mode():
        assert torch.equal(model.network(example), source(example)[0])
    assert (model.folds, model.trainer, model.recipe.mirror_axes) == (("0",), trainer, (0, 1, 2))
    assert verify(tmp_path / "a.tar").inspection.card.origin == f"{kind} of its authors, trained by {trainer}"


def test_results_folders_of_nnunet(results: Path, original: Path, tmp_path: Path) -> None:
    import_checkpoint(results, tmp_path / "a.tar")
    assert medmamba.bundle.load(tmp_path / "a.tar").folds == ("0", "1")
    weights = (original / "fold_0.safetensors").read_bytes()
    assert weights in (tmp_path / "a.tar").read_bytes()


class Harm:
    def __reduce__(self) -> Any:
        return (os.system, ("touch harmed",))


@pytest.mark.parametrize("content", [{"network_weights": Harm()}, Harm()])
def test_checkpoints_that_run_code_are_refused(content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        import_checkpoint(tmp_path / "model.pt", tmp_path / "a.tar", "SegMamba", WIDTHS, images(2, 2, (32, 32, 32)))
    folder = results_folder(tmp_path, folds=(0,))
    torch.save(content, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        import_checkpoint(folder, tmp_path / "a.tar")
    assert not (tmp_path / "harmed").exists() and not (tmp_path / "a.tar").exists()


@pytest.mark.parametrize(
    ("upstream", "known", "error", "sentence"),
    [
        (None, images(2, 2, (32, 32, 32)), ConfigError, "Whose checkpoint"),
        ("SwinMamba", images(2, 2, (32, 32, 32)), ConfigError, "no original network 'SwinMamba'"),
        ("SegMamba", Images(["a"]), ConfigError, "--labels, --spacing, --patch-size is missing"),
        ("SegMamba", images(2, 2, (32, 32, 32), normalization="ct"), ConfigError, "--normalization 'ct'"),
        ("SegMamba", images(1, 2, (32, 32, 32)), DataError, "(?i)channel|fit"),
        ("SegMamba", images(2, 3, (32, 32, 32)), DataError, "(?i)label|fit"),
        ("LightMUNet", images(2, 2, (32, 32, 32)), ConfigError, "LightMUNet has no argument"),
    ],
)
def test_what_is_not_said_or_does_not_fit(
    upstream: str | None, known: Images, error: type, sentence: str, segmamba: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=sentence):
        import_checkpoint(segmamba, tmp_path / "a.tar", upstream, WIDTHS, known)
    assert not (tmp_path / "a.tar").exists()


def test_safetensors_are_taken_too(segmamba: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(torch.load(segmamba, weights_only=True), tmp_path / "model.safetensors")
    known = images(2, 2, (32, 32, 32))
    for name in ("model.pt", "model.safetensors"):
        import_checkpoint(tmp_path / name, tmp_path / f"{name}.tar", "SegMamba", WIDTHS, known, self_test=False)
    one, other = (medmamba.bundle.load(tmp_path / f"{name}.tar") for name in ("model.pt", "model.safetensors"))
    assert all(torch.equal(one.weights[0][key], tensor) for key, tensor in other.weights[0].items())


def test_json_is_all_there_is_besides_weights(segmamba: Path, tmp_path: Path) -> None:
    import_checkpoint(segmamba, tmp_path / "a", "SegMamba", WIDTHS, images(2, 2, (32, 32, 32)), self_test=False)
    arguments = json.loads((tmp_path / "a" / "plans.json").read_text())["configurations"]["3d_fullres"]["architecture"]
    assert arguments["network_class_name"] == "medmamba.networks.segmamba.SegMamba"
    assert arguments["arch_kwargs"]["num_slices"] == "reference"
