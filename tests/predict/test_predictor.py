"""Whole cases, from files to label maps, against nnU-Net's own predictor with the same weights."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.nnunet.folds import pickles
from medmamba.nnunet.recipe import make_network, make_recipe
from medmamba.predict import Predictor, budget
from medmamba.predict.files.cases import find_cases
from medmamba.predict.files.headers import probe
from medmamba.predict.recipe import LoadedModel
from tests.nnunet import plans_by_hand

REGIONS = {"labels": {"background": 0, "all": [1, 2], "core": [2]}, "regions_class_order": [1, 2]}


def made_model(
    configuration: str = "3d_fullres", folds: int = 1, mirror: tuple[int, ...] | None = None, **dataset: Any
) -> LoadedModel:
    """A model whose weights are random; a cascade comes with its earlier stage."""
    plans, content = plans_by_hand.plans(), plans_by_hand.dataset(**dataset)
    recipe = make_recipe(plans, content, configuration, mirror)
    weights = []
    for fold in range(folds):
        torch.manual_seed(fold)
        network = make_network(plans, content, configuration, "nnUNetTrainer")
        weights.append({key: 3 * value for key, value in network.state_dict().items()})
    previous = made_model(recipe.previous_stage, folds, mirror, **dataset) if recipe.previous_stage else None
    names = tuple(map(str, range(folds)))
    return LoadedModel(
        recipe, network, tuple(weights), names, plans, content, configuration, "sha256:0", None, previous=previous
    )


def stock(model: LoadedModel, files: Sequence[Path], output: Path, **how: Any) -> None:
    """Predict with nnU-Net's predictor; a cascade from its earlier stage on."""
    output.mkdir(parents=True)
    if model.previous is not None:
        earlier = output / "earlier"
        stock(model.previous, files, earlier)
        how["folder_with_segs_from_prev_stage"] = str(earlier)
    manager = PlansManager(dict(model.plans))
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor.manual_initialization(
            make_network(model.plans, model.dataset, model.recipe.configuration, "nnUNetTrainer"),
            manager,
            manager.get_configuration(model.recipe.configuration),
            [dict(weights) for weights in model.weights],
            dict(model.dataset),
            "nnUNetTrainer",
            model.recipe.mirror_axes,
        )
        predictor.use_mirroring = model.recipe.mirror_axes is not None
        names = [str(output / file.name.removesuffix("_0000.nii.gz")) for file in files]
        predictor.predict_from_files_sequential([[str(file)] for file in files], names, **how)


def voxels(file: Path) -> np.ndarray[Any, Any]:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


@pytest.fixture(scope="module")
def images(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The middle of two real images, which is enough for several tiles."""
    folder, cut = tmp_path_factory.mktemp("images"), []
    for file in sorted((shared_data / "Dataset004_Hippocampus/imagesTs").glob("*_0000.nii.gz"))[:2]:
        cut.append(folder / file.name)
        sitk.WriteImage(sitk.ReadImage(str(file))[8:26, 8:32, 8:28], str(cut[-1]))
    return cut


KINDS: dict[str, dict[str, Any]] = {
    "folds and mirroring": {"folds": 2, "mirror": (0, 2)},
    "slices": {"configuration": "2d", "mirror": (0, 1)},
    "cascade": {"configuration": "3d_cascade_fullres"},
    "regions": REGIONS,
}


@pytest.mark.parametrize("kind", KINDS)
def test_label_maps_are_nnunets(kind: str, images: list[Path], tmp_path: Path) -> None:
    model = made_model(**KINDS[kind])
    stock(model, images[:1], tmp_path / "stock")
    for engine in (False, True):
        predictor = Predictor(model, device="cpu", precision="fp32", engine=engine)
        for case in find_cases(images[0], model.recipe):
            file = tmp_path / str(engine) / f"{case.name}.nii.gz"
            notes = predictor.finish(predictor.prepare(case), file)
            want, found = voxels(tmp_path / "stock" / file.name), voxels(file)
            assert found.dtype == want.dtype and len(np.unique(want)) > 1
            assert notes.labels == tuple(np.unique(found[found > 0]))
            different = int((found != want).sum())
            assert different <= (1e-4 * want.size if engine else 0)


def test_probabilities_and_properties_are_nnunets(images: list[Path], tmp_path: Path) -> None:
    model = made_model()
    stock(model, images[:1], tmp_path / "stock", save_probabilities=True)
    predictor = Predictor(model, device="cpu", precision="fp32", engine=False)
    case = find_cases(images[0], model.recipe)[0]
    predictor.finish(predictor.prepare(case), tmp_path / f"{case.name}.nii.gz", probabilities=True)
    mine, theirs = (folder / f"{case.name}.npz" for folder in (tmp_path, tmp_path / "stock"))
    with np.load(mine) as found, np.load(theirs) as want:
        assert found.files == want.files
        np.testing.assert_allclose(found["probabilities"], want["probabilities"], atol=1e-6)
    assert pickles.read(mine.with_suffix(".pkl")) == pickles.read(theirs.with_suffix(".pkl"))


def test_arrays_and_folders(images: list[Path], tmp_path: Path) -> None:
    predictor = Predictor(made_model(), device="cpu")
    written = predictor.segment(images, tmp_path)
    assert [file.name for file in written] == [image.name.replace("_0000", "") for image in images]
    image = sitk.ReadImage(str(images[0]))
    array = sitk.GetArrayFromImage(image).astype(np.float32)[None]
    before = array.copy()
    assert np.array_equal(predictor.predict(array, image.GetSpacing()[::-1]), voxels(written[0]))
    assert np.array_equal(array, before)
    seen: list[tuple[int, int]] = []
    predictor.predict(array, (1, 1, 1), lambda *done: seen.append(done))
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_cases_in_hand_count_until_they_are_done_or_given_up(images: list[Path], tmp_path: Path) -> None:
    predictor = Predictor(made_model(), device="cpu", max_ram="40G")
    first, second = find_cases(images, predictor.recipe)
    prepared = predictor.prepare(first)
    assert predictor.ahead(second)
    # room for one case and not for two, however much the process holds after other tests
    estimate, plan = prepared.estimate, prepared.plan
    predictor.memory.max_ram = int(max(estimate.running(plan), estimate.base + estimate.preparing()) / 0.97) + 2**16
    assert not predictor.ahead(second)
    with pytest.raises(KeyboardInterrupt):
        predictor.finish(prepared, tmp_path / "first.nii.gz", on_tile=interrupt)
    assert predictor.ahead(second) and not list(tmp_path.glob("*.nii.gz"))
    given_up = predictor.prepare(first)
    assert not predictor.ahead(second)
    del given_up
    assert predictor.ahead(second)


def interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_fast_is_one_fold_without_mirrors_in_larger_steps() -> None:
    predictor = Predictor(made_model(folds=3, mirror=(0, 1, 2)), device="cpu", fast=True)
    said = predictor.description()
    assert (said["folds"], said["mirror_axes"], said["step_size"], said["fast"]) == (["0"], [], 0.75, True)
    assert Predictor(made_model(mirror=(1,)), device="cpu").description()["mirror_axes"] == [1]


@pytest.mark.parametrize("image", [np.zeros((2, 5, 5, 5)), np.zeros((5, 5, 5)), np.full((1, 5, 5, 5), np.nan)])
def test_arrays_that_are_refused(image: Any) -> None:
    with pytest.raises(DataError, match=r"is not \(1, z, y, x\)|not finite"):
        Predictor(made_model(), device="cpu").predict(image, (1, 1, 1))


def test_too_little_memory_is_said_before_anything_is_read(images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(made_model(), device="cpu", max_ram="100M")
    case = find_cases(images[0], predictor.recipe)[0]
    monkeypatch.setattr("medmamba.predict.files.images.read", None)
    with pytest.raises(SetupError, match=r"takes at least .* and --max-ram is 100 MB \(the process and the model"):
        predictor.prepare(case)
    assert predictor.ahead(case)  # nothing is in the network
    with pytest.raises(ConfigError, match="step size of 0 "):
        Predictor(made_model(), step_size=0)


def test_probabilities_count_before_anything_is_read(images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"background": 0} | {f"part {value}": value for value in range(1, 60)}
    predictor = Predictor(made_model(labels=labels), device="cpu", max_ram="1T")
    case = find_cases(images[0], predictor.recipe)[0]
    header = probe(case, predictor.recipe)
    least, more = (predictor.estimate(header, wanted).peak(budget.PLANS[-1]) for wanted in (False, True))
    assert more > least
    predictor.memory.max_ram = int((least + more) / 2 / 0.97)
    assert predictor.prepare(case).data is not None
    monkeypatch.setattr("medmamba.predict.files.images.read", None)
    with pytest.raises(SetupError, match="takes at least"):
        predictor.prepare(case, probabilities=True)
