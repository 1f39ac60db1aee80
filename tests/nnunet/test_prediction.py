"""Prediction with the model of one small run, by our front and by the stock one."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from medmamba.data.folders import folders
from medmamba.errors import DataError
from medmamba.networks.umamba import UMambaBot
from medmamba.nnunet import door
from medmamba.nnunet.folds import pickles
from medmamba.nnunet.loop.trainer import EpochReport
from medmamba.predict.loading import trained_folder
from medmamba.predict.predictor import Predictor
from tests.nnunet.small_runs import PLAIN


def test_prediction_has_the_images_geometry(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    model = trained_folder(f"{PLAIN}:umamba-bot:small", folders())
    assert model == run[0].parent
    images = workplace / "raw/Dataset901_Blobs/imagesTr"
    files = Predictor(model, folds=[0], mirror=False, device="cpu").segment(images, tmp_path)
    assert [file.name for file in files] == [f"c{case}.nii.gz" for case in range(5)]
    written, image = sitk.ReadImage(str(files[0])), sitk.ReadImage(str(images / "c0_0000.nii.gz"))
    assert written.GetSize() == image.GetSize()
    assert set(np.unique(sitk.GetArrayFromImage(written))) <= {0, 1, 2}


def test_the_stock_predictor_loads_our_checkpoint(
    run: tuple[Path, list[EpochReport]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_extTrainer", str(door.folder()))
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nnU-Net imports all of its own trainers on the way
        try:
            predictor.initialize_from_trained_model_folder(str(run[0].parent), (0,))
        except RuntimeError as error:
            if "torchvision" not in str(error):
                raise
            pytest.skip("torchvision does not import here, so nnU-Net's own search of trainers cannot")
    assert type(predictor.network) is UMambaBot
    assert predictor.allowed_mirroring_axes == (0, 1, 2)


def test_checkpoints_that_are_not_there(run: tuple[Path, list[EpochReport]]) -> None:
    with pytest.raises(DataError, match=r"other\.pth"):
        Predictor(run[0].parent, checkpoint="other.pth", device="cpu")


def test_probabilities_go_with_the_label_map(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    predictor = Predictor(run[0].parent, folds=[0], mirror=False, device="cpu")
    (file,) = predictor.segment(image, tmp_path, save_probabilities=True)
    with np.load(tmp_path / "c0.npz") as content:
        probabilities = content["probabilities"]
    assert probabilities.dtype == np.float32 and probabilities.shape == (3, 16, 20, 20)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    assert np.array_equal(probabilities.argmax(0), sitk.GetArrayFromImage(sitk.ReadImage(str(file))))
    assert pickles.read(tmp_path / "c0.pkl")["shape_before_cropping"] == (16, 20, 20)
    before = file.stat().st_mtime_ns
    predictor.segment(image, tmp_path, save_probabilities=True, resume=True)
    assert file.stat().st_mtime_ns == before
    (tmp_path / "c0.npz").unlink()
    predictor.segment(image, tmp_path, save_probabilities=True, resume=True)
    assert (tmp_path / "c0.npz").is_file()
