"""A cascade from end to end: the first stage leaves what the second one trains on and predicts from."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import ConfigError
from medmamba.files import read_json, write_json
from medmamba.nnunet.training import TrainOptions, train
from medmamba.predict.predictor import Predictor

CASCADE = 905


def options(configuration: str) -> TrainOptions:
    return TrainOptions(
        "umamba-bot",
        "small",
        fold="all",
        configuration=configuration,
        epochs=1,
        iterations=1,
        patch_size=(16, 16, 16),
        device="cpu",
        seed=1,
        precision="fp32",
    )


@pytest.fixture
def cascade(workplace: Path) -> Path:
    """The plain dataset under another number, with a low-resolution stage on the same data in its plans."""
    place = workplace / "preprocessed" / f"Dataset{CASCADE}_Blobs"
    shutil.copytree(workplace / "preprocessed/Dataset901_Blobs", place)
    for file in place.glob("nnUNetPlans_*.json"):
        file.unlink()
    plans = read_json(place / "nnUNetPlans.json")
    fine = plans["configurations"]["3d_fullres"]
    plans["dataset_name"] = place.name
    plans["configurations"]["3d_lowres"] = {**fine, "next_stage": "3d_cascade_fullres"}
    plans["configurations"]["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    write_json(place / "nnUNetPlans.json", plans)
    return place


def test_cascade(cascade: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.default_num_processes", 1)
    first = train(CASCADE, options("3d_lowres"))
    assert len(list((first.parent / "predicted_next_stage/3d_cascade_fullres").glob("*.b2nd"))) == 5
    second = train(CASCADE, options("3d_cascade_fullres"))
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    files = Predictor(second.parent, mirror=False, device="cpu").segment(image, tmp_path)
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))).shape == (16, 20, 20)
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))))) <= {0, 1, 2}

    shutil.rmtree(first.parent)
    with pytest.raises(ConfigError, match="Train 3d_lowres first"):
        Predictor(second.parent, mirror=False, device="cpu")
