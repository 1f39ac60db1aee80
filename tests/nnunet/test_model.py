"""Logits of a model folder beside nnU-Net's predictor."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medmamba.nnunet.loaded import load_folder
from medmamba.nnunet.loop.trainer import EpochReport
from medmamba.nnunet.model import Model, Running
from medmamba.predict.predictor import Predictor
from tests.nnunet.results_by_hand import write_results

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["2d", "3d_cascade_fullres"])
def test_logits_are_nnunets(name: str, tmp_path: Path) -> None:
    folder = write_results(tmp_path, name, folds=(0, 1), mirror_axes=(0, 1))
    running = Running(None, "checkpoint_final.pth", 0.5, True, CPU, False, "fp32")
    random = np.random.default_rng(0)
    image = random.normal(size=(1, 20, 30, 18)).astype(np.float32)
    previous = random.integers(0, 3, image.shape[1:]).astype(np.int8) if name == "3d_cascade_fullres" else None
    ours = Model(folder, running).logits(image, previous)

    loaded = load_folder(folder, earlier_stage=False)
    predictor = nnUNetPredictor(device=CPU, allow_tqdm=False)
    plans = PlansManager(dict(loaded.plans))
    predictor.manual_initialization(
        *(loaded.network, plans, plans.get_configuration(name), list(loaded.weights)),
        *(dict(loaded.dataset), "nnUNetTrainer", (0, 1)),
    )
    if previous is not None:
        image = np.concatenate([image, *[(previous[None] == label).astype(np.float32) for label in (1, 2)]])
    assert torch.equal(ours, predictor.predict_logits_from_preprocessed_data(torch.from_numpy(image)))


def test_the_engine_predicts_the_same_labels(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    said: list[str] = []
    maps = []
    for name, use in (("engine", True), ("torch", False)):
        predictor = Predictor(run[0].parent, folds=[0], device="cpu", engine=use, precision="fp32")
        said.append(predictor.description()["engine"])
        files = predictor.segment(image, tmp_path / name)
        maps.append(sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))))
    assert np.mean(maps[0] == maps[1]) >= 0.9999
    assert "CPU engine" in said[0]
    assert "CPU engine" not in said[1]
